/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/bindings_file.h"
#include "loader/caps.h"
#include "loader/command.h"
#include "loader/end_signals.h"
#include "loader/file_watch.h"
#include "loader/labels.h"
#include "loader/log.h"
#include "loader/notify.h"
#include "loader/reload_record.h"
#include "loader/snapshot.h"

/* How long to wait before a file is tried again that was not refused for what is in it. */
#define RETRY_MS 5000

enum { OPTION_DRY_RUN, OPTION_WATCH };

static const struct command_option options[] = {
	[OPTION_DRY_RUN] = { "dry-run", false },
	[OPTION_WATCH] = { "watch", false },
	{ 0 },
};

/* What a file changes. */
struct difference {
	struct snapshot old; /* only the bindings that go */
	bool *added;         /* for each binding of the file */
	size_t n_added;
};

static void difference_done(struct difference *diff)
{
	snapshot_done(&diff->old);
	free(diff->added);
}

/* ---- reading ---- */

/* Returns 0, or -errno after a message. */
static int read_file(const char *path, struct bindings_file *ret)
{
	char error[BINDINGS_FILE_ERROR_SIZE];
	bool is_stdin = !strcmp(path, "-");
	CLEANUP_FD int fd = -1;
	int r;

	fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		r = -errno;
		(void)log_failure(r, "cannot open '%s': %m", path);
		return r;
	}
	r = bindings_file_read(fd, ret, error);
	if (r == -EINVAL)
		(void)log_failure(r, "%s: %s", is_stdin ? "stdin" : path, error);
	else if (r < 0)
		(void)log_failure(r, "cannot read '%s': %m", path);
	else if (ret->masked)
		log_notice(
			"%s: %zu entries have bits set behind their prefix length: taken without "
			"them",
			is_stdin ? "stdin" : path, ret->masked);
	return r;
}

/* ---- comparing ---- */

static bool same_binding(const struct snapshot *old, const struct isomer_binding *a,
			 const struct bindings_file *file, const struct isomer_binding *b)
{
	return a->miss == b->miss &&
	       !strcmp(snapshot_label(old, a->destination), file->labels[b->destination]);
}

/* Both sides are sorted. What stays the same leaves @ret->old, which takes the change's bindings.
 */
static int compare(struct change *c, const struct bindings_file *file, struct difference *ret)
{
	size_t i = 0, j = 0, gone = 0;
	struct bindings *old = &ret->old.bindings;
	const struct bindings *fresh = &file->bindings;
	int r;

	r = snapshot_of(&c->d, &c->bindings, &ret->old);
	if (r < 0)
		return r;
	ret->added = calloc(fresh->n + 1, sizeof(*ret->added));
	if (!ret->added)
		return -ENOMEM;

	while (i < old->n || j < fresh->n) {
		int order = i == old->n ? 1
			    : j == fresh->n
				    ? -1
				    : bindings_compare(&old->entries[i], &fresh->entries[j]);
		bool same = order == 0 &&
			    same_binding(&ret->old, &old->entries[i], file, &fresh->entries[j]);

		if (order <= 0 && !same)
			old->entries[gone++] = old->entries[i];
		if (order >= 0 && !same) {
			ret->added[j] = true;
			ret->n_added++;
		}
		i += order <= 0;
		j += order >= 0;
	}
	old->n = gone;
	return 0;
}

static void print_difference(const struct difference *diff, const struct bindings *fresh,
			     const char *const *names)
{
	char text[BINDING_TEXT_SIZE];

	for (size_t i = 0; i < fresh->n; i++) {
		if (!diff->added[i])
			continue;
		binding_text(&fresh->entries[i], names[fresh->entries[i].destination], text);
		printf("added %s\n", text);
	}
	for (size_t i = 0; i < diff->old.bindings.n; i++) {
		const struct isomer_binding *b = &diff->old.bindings.entries[i];

		binding_text(b, snapshot_label(&diff->old, b->destination), text);
		printf("removed %s\n", text);
	}
}

/* ---- changing ---- */

static int point_at_destinations(struct change *c, const struct bindings_file *file)
{
	/* Looked up once for each label rather than for each binding. */
	CLEANUP_FREE const struct destination **first = calloc(file->n_labels + 1, sizeof(*first));

	if (!first)
		return -ENOMEM;
	for (size_t i = 0; i < file->n_labels; i++)
		first[i] =
			destinations_find(&c->destinations, file->labels[i], AF_INET, IPPROTO_TCP);
	for (size_t i = 0; i < c->bindings.n; i++) {
		struct isomer_binding *b = &c->bindings.entries[i];
		const struct destination *part = first[b->destination];

		while (part->key.domain != b->domain || part->key.protocol != b->protocol)
			part++;
		b->destination = part->id;
	}
	return 0;
}

static int names_by_id(const struct change *c, const char ***ret)
{
	const char **names = calloc(c->d.st.info.max_destinations, sizeof(*names));

	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < c->destinations.n; i++)
		names[c->destinations.entries[i].id] = c->destinations.entries[i].key.label;
	*ret = names;
	return 0;
}

/* Returns 0, or -errno after a message. */
static int replace(struct change *c, struct bindings_file *file, const struct difference *diff)
{
	CLEANUP_FREE const char **names = NULL;
	int r;

	r = labels_create(&c->d, &c->destinations, file->labels, file->n_labels);
	if (r == -ENOSPC) {
		(void)log_failure(
			r,
			"no room for the labels of the file: the dispatcher was loaded for "
			"%u destinations, %d a label; load it with a higher "
			"--max-destinations",
			c->d.st.info.max_destinations, DESTINATIONS_OF_LABEL);
		return r;
	}
	if (r == 0) {
		bindings_done(&c->bindings);
		c->bindings = file->bindings;
		file->bindings = BINDINGS_NONE;
		r = point_at_destinations(c, file);
	}
	if (r == 0)
		r = change_commit(c);
	if (r == 0)
		r = names_by_id(c, &names);
	if (r < 0)
		(void)log_failure(r, "cannot replace the bindings: %m");
	else
		print_difference(diff, &c->bindings, names);
	return r;
}

/* Returns 0, or -errno after a message. */
static int apply(const struct context *ctx, const char *path, bool dry_run)
{
	CLEANUP(bindings_file_done) struct bindings_file file = BINDINGS_FILE_NONE;
	CLEANUP(difference_done) struct difference diff = { .added = NULL };
	CLEANUP(change_end) struct change c = CHANGE_NONE;
	int r;

	r = read_file(path, &file);
	if (r == 0)
		r = command_begin_change(ctx, &c);
	if (r < 0)
		return r;
	r = compare(&c, &file, &diff);
	if (r < 0)
		(void)log_failure(r, "cannot compare '%s' with what is bound: %m", path);
	else if (dry_run)
		print_difference(&diff, &file.bindings, file.labels);
	else if (diff.n_added || diff.old.bindings.n)
		r = replace(&c, &file, &diff);
	return r;
}

/* ---- watching ---- */

static void tell(const struct context *ctx, const char *path, int r)
{
	/* No message: where there is no dispatcher to keep it, the file was not put in force, and
	 * why has been said. */
	(void)reload_record_add(ctx->bpffs, &ctx->netns, r == 0);
	r = notify_manager(r == 0 ? "READY=1\nSTATUS=the bindings of the file are in force"
				  : "STATUS=the file was not put in force, the bindings before it "
				    "are: see the log");
	if (r == -ELIBACC)
		log_notice("cannot tell the service manager that '%s' is watched: apt-get install "
			   "libsystemd0",
			   path);
}

/* Does the watch end it, when there is something wrong with the file or no dispatcher? */
static bool ends_with_a_change(int r)
{
	return r == -EINVAL || r == -ENOENT || r == -ESTALE;
}

/* The state is watched, too: a dispatcher that is loaded anew has no bindings. */
static int watch_state(const struct context *ctx, char ret[ISOMER_PATH_SIZE])
{
	struct isomer_state st;
	int r = isomer_state_path(ctx->bpffs, ctx->netns.inode, st.path);

	return r < 0 ? r : isomer_state_file(&st, ISOMER_PIN_INFO, ret);
}

/* Returns 0 when it was told to end, 1 when the file could not be put in force at the start, or
 * -errno. */
static int watch_until_end(const struct context *ctx, struct file_watch *w, int end_fd)
{
	const char *path = w->paths[0];
	bool changed, started = false;
	int r, applied = -EAGAIN;

	do {
		r = file_watch_look(w, &changed);
		if (r < 0)
			return r;
		if (changed || (applied < 0 && !ends_with_a_change(applied))) {
			applied = apply(ctx, path, false);
			if (!started && applied < 0)
				return 1;
			tell(ctx, path, applied);
			if (!started)
				printf("Watching %s\n", path);
			started = true;
			if (command_finish() != EXIT_SUCCESS)
				return 1;
		}
		r = file_watch_wait(w, end_fd,
				    applied == 0 || ends_with_a_change(applied) ? -1 : RETRY_MS);
	} while (r == 0);
	return r == -EINTR ? 0 : r;
}

static int watch(const struct context *ctx, const char *path)
{
	CLEANUP(file_watch_done) struct file_watch w = FILE_WATCH_NONE;
	char info[ISOMER_PATH_SIZE];
	CLEANUP_FD int end_fd = -1;
	int r;

	w.paths[0] = path;
	w.paths[1] = info;
	r = watch_state(ctx, info);
	if (r == 0)
		r = end_signals(&end_fd);
	if (r == 0)
		r = watch_until_end(ctx, &w, end_fd);
	(void)notify_manager("STOPPING=1");
	reload_record_remove(ctx->bpffs, &ctx->netns);
	if (r < 0)
		return log_failure(r, "cannot watch '%s': %m", path);
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run(const struct context *ctx, char **args, int n, const char *const *values)
{
	(void)n;

	if (values[OPTION_WATCH] && values[OPTION_DRY_RUN])
		return log_usage("load-bindings takes --watch or --dry-run, not both");
	if (values[OPTION_WATCH] && !strcmp(args[0], "-"))
		return log_usage("load-bindings --watch takes a file: stdin does not change");
	if (values[OPTION_WATCH])
		return watch(ctx, args[0]);
	return apply(ctx, args[0], values[OPTION_DRY_RUN]) < 0 ? EXIT_FAILURE : command_finish();
}

const struct command cmd_load_bindings = {
	.name = "load-bindings",
	.operands = "FILE|-",
	.summary = "replace all bindings by those of a JSON file",
	.help = "Puts exactly the bindings of FILE (- is stdin) in force, in one step: no packet sees\n"
		"some of the old and some of the new. A mistake anywhere in the file changes nothing.\n"
		"Prints a line for each binding that was added or removed.\n"
		"\n"
		"  {\"bindings\": [\n"
		"    {\"label\": \"foo\", \"prefix\": \"127.0.0.0/24\", \"port\": 80},\n"
		"    {\"label\": \"bar\", \"prefix\": \"2001:db8::/64\", \"port\": \"8000-8999\",\n"
		"     \"protocol\": \"udp\", \"miss\": \"pass\"}\n"
		"  ]}\n"
		"\n"
		"Without \"protocol\" an entry is for TCP and UDP; without \"miss\" it is \"drop\". The\n"
		"port 0 means all ports.\n"
		"\n"
		"Options:\n"
		"  --dry-run  print what would be added and removed, and change nothing\n"
		"  --watch    put the file in force again each time it changes, until SIGINT or SIGTERM.\n"
		"             A file that is refused changes nothing: what was bound stays, a message\n"
		"             says why, and 'metrics' shows it. A file that is gone counts as refused. A\n"
		"             dispatcher that is loaded anew gets the bindings, too. At the start a file\n"
		"             that is refused ends the command.\n",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.caps = CAPS_CHANGE,
	.run = run,
};
