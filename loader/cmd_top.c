/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/activity.h"
#include "loader/caps.h"
#include "loader/command.h"
#include "loader/end_signals.h"
#include "loader/log.h"
#include "loader/operand.h"
#include "loader/screen.h"

#define INTERVAL_MAX 3600

enum { OPTION_INTERVAL, OPTION_ONCE };

static const struct command_option options[] = {
	[OPTION_INTERVAL] = { "interval", true },
	[OPTION_ONCE] = { "once", false },
	{ 0 },
};

struct view {
	const struct context *ctx;
	struct activity last;
	int interval_ms, end_fd;
};

static void view_done(struct view *v)
{
	activity_done(&v->last);
	if (v->end_fd >= 0)
		close(v->end_fd);
}

/* Waits for the next look. Returns 0, 1 when a key was pressed or the terminal has changed its
 * size, -EINTR when it is told to end or the terminal is gone, or another negative errno. */
static int wait_next(const struct view *v, int keys_fd)
{
	struct pollfd fds[] = { { .fd = v->end_fd, .events = POLLIN },
				{ .fd = keys_fd, .events = POLLIN } };
	int n = poll(fds, 2, v->interval_ms);

	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	/* Who ignores SIGHUP would find a terminal that is gone ready for ever. */
	if (fds[0].revents || fds[1].revents & (POLLHUP | POLLERR))
		return -EINTR;
	return fds[1].revents != 0;
}

/* Looks again, and compares. */
static int look(struct view *v)
{
	struct activity now;
	int r = activity_read(v->ctx->bpffs, &v->ctx->netns, &now);

	if (r < 0)
		return r;
	activity_compare(&now, &v->last);
	activity_done(&v->last);
	v->last = now;
	return 0;
}

/* ---- once ---- */

static int print_once(struct view *v)
{
	struct json *j;
	int r = wait_next(v, -1);

	if (r == -EINTR)
		return EXIT_SUCCESS;
	r = look(v);
	if (r < 0)
		return command_say_cannot_open(v->ctx, r, 0);
	if (!v->ctx->json) {
		activity_print(&v->last, stdout);
		return command_finish();
	}

	j = json_new();
	if (!j)
		return log_failure(-ENOMEM, "cannot print what happens: %m");
	activity_json(&v->last, j);
	return command_finish_json(j);
}

/* ---- on the screen ---- */

/* @r: of the last look. */
static int show(const struct view *v, int r)
{
	CLEANUP_FREE char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return -errno;
	fprintf(out, "isomer-loader top: %s, %zu labels, q ends\n\n", v->ctx->netns.path,
		v->last.n);
	if (r < 0)
		fprintf(out, "cannot look now: %s\n", strerror(-r));
	else
		activity_print(&v->last, out);
	if (fclose(out) != 0)
		return -errno;
	screen_show(text);
	return 0;
}

/* A dispatcher may go and come back meanwhile. Returns 0 when it is told to end, or -errno. */
static int run_screen(struct view *v)
{
	int looked = 0, r, key;

	for (;;) {
		r = show(v, looked);
		if (r == 0)
			r = wait_next(v, STDIN_FILENO);
		if (r < 0)
			return r == -EINTR ? 0 : r;
		while ((key = screen_key()))
			if (key == 'q')
				return 0;
		if (r == 0)
			looked = look(v);
	}
}

static int show_until_end(struct view *v)
{
	int r;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return log_usage("top needs a terminal, or --once");
	r = screen_open();
	if (r == 0)
		r = run_screen(v);
	screen_close();
	if (r == -ELIBACC)
		return log_failure(r, "cannot show a table: apt-get install libncursesw6, or use "
				      "--once");
	if (r == -ENOTTY)
		return log_failure(r, "this terminal is not known (TERM is '%s'): use --once",
				   getenv("TERM") ? getenv("TERM") : "");
	if (r < 0)
		return log_failure(r, "cannot show what happens: %m");
	return EXIT_SUCCESS;
}

static int run(const struct context *ctx, char **args, int n, const char *const *values)
{
	CLEANUP(view_done) struct view v = { .ctx = ctx, .end_fd = -1 };
	uint64_t seconds = 1;
	int r, status = 0;

	(void)args;
	(void)n;

	if (values[OPTION_INTERVAL])
		status = operand_number("--interval", values[OPTION_INTERVAL], 1, INTERVAL_MAX,
					&seconds);
	if (status)
		return status;
	v.interval_ms = (int)seconds * 1000;
	r = end_signals(&v.end_fd);
	if (r < 0)
		return log_failure(r, "cannot wait for signals: %m");
	r = activity_read(ctx->bpffs, &ctx->netns, &v.last);
	if (r < 0)
		return command_say_cannot_open(ctx, r, 0);
	return values[OPTION_ONCE] || ctx->json ? print_once(&v) : show_until_end(&v);
}

const struct command cmd_top = {
	.name = "top",
	.operands = "",
	.summary = "show what happens under each label, live",
	.help = "A table of the labels that are in use, the busiest first: lookups, misses and errors a\n"
		"second (see 'status'), how many sockets are registered, and the processes whose sockets\n"
		"get the traffic, as far as the user may look into them ('?': may not, '-': nobody).\n"
		"The key q ends it.\n"
		"\n"
		"Options:\n"
		"  --interval SECONDS  how often to look (default 1)\n"
		"  --once              look twice, print the table and end; so does --json\n",
	.min_args = 0,
	.max_args = 0,
	.json = true,
	.options = options,
	.caps = CAPS_READ | CAPS_OWNERS,
	.run = run,
};
