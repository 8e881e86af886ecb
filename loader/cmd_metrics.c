/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loader/caps.h"
#include "loader/command.h"
#include "loader/end_signals.h"
#include "loader/exposition.h"
#include "loader/http.h"
#include "loader/log.h"
#include "loader/operand.h"
#include "loader/overview.h"

#define TIMEOUT_DEFAULT 30

enum { OPTION_ONCE, OPTION_TIMEOUT };

static const struct command_option options[] = {
	[OPTION_ONCE] = { "once", false },
	[OPTION_TIMEOUT] = { "timeout", true },
	{ 0 },
};

struct collector {
	const struct context *ctx;
	uint64_t errors;
	int last; /* result of the last collection: a failure that goes on is said once */
};

/* ---- collecting ---- */

struct collection {
	struct dispatcher d;
	struct snapshot snapshot;
	struct overview overview;
	struct reload_record record;
	const struct reload_record *reloads; /* NULL: no file is watched */
};

static void collection_done(struct collection *c)
{
	overview_done(&c->overview);
	snapshot_done(&c->snapshot);
	dispatcher_close(&c->d);
}

/* Opened anew each time, so that it survives unload and load beneath it. */
static int collect(const struct context *ctx, struct collection *ret)
{
	int r;

	*ret = (struct collection){ .d = DISPATCHER_NONE };
	r = snapshot_take(ctx->bpffs, &ctx->netns, &ret->d, &ret->snapshot);
	if (r == 0)
		r = overview_read(&ret->d, &ret->snapshot, NULL, &ret->overview);
	if (r < 0)
		return r;
	r = reload_record_read(&ret->d, &ret->record);
	ret->reloads = r == 0 ? &ret->record : NULL;
	return r == -ENOENT ? 0 : r;
}

static void write_page(FILE *out, void *arg)
{
	CLEANUP(collection_done) struct collection c;
	struct collector *collector = arg;
	int r;

	r = collect(collector->ctx, &c);
	if (r < 0)
		collector->errors++;
	if (r < 0 && r != collector->last)
		(void)command_say_cannot_open(collector->ctx, r, 0);
	collector->last = r;
	exposition_write(out, r < 0 ? NULL : &c.overview, r < 0 ? NULL : c.reloads,
			 collector->errors);
}

static int run_once(const struct context *ctx)
{
	CLEANUP(collection_done) struct collection c;
	struct json *j;
	int r;

	r = collect(ctx, &c);
	if (r < 0)
		return command_say_cannot_open(ctx, r, 0);
	if (!ctx->json) {
		exposition_write(stdout, &c.overview, c.reloads, 0);
		return command_finish();
	}

	j = json_new();
	if (!j)
		return log_failure(-ENOMEM, "cannot print the metrics: %m");
	overview_json(&c.overview, j);
	reload_record_json(c.reloads, j);
	return command_finish_json(j);
}

/* ---- serving ---- */

static socklen_t make_address(const struct isomer_prefix *ip, uint16_t port,
			      struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	ret->ss_family = ip->domain;
	if (ip->domain == AF_INET) {
		memcpy(&in->sin_addr, ip->addr, sizeof(in->sin_addr));
		in->sin_port = htons(port);
		return sizeof(*in);
	}
	memcpy(&in6->sin6_addr, ip->addr, sizeof(in6->sin6_addr));
	in6->sin6_port = htons(port);
	return sizeof(*in6);
}

static int listen_on(const struct isomer_prefix *ip, uint16_t port, int *ret_fd)
{
	struct sockaddr_storage address;
	socklen_t len = make_address(ip, port, &address);
	CLEANUP_FD int fd = socket(ip->domain, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, SOMAXCONN) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static void say_listening(const char *ip, int fd)
{
	struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(address);
	bool v6;

	(void)getsockname(fd, (struct sockaddr *)&address, &len);
	v6 = address.ss_family == AF_INET6;
	printf("Listening on %s%s%s:%u\n", v6 ? "[" : "", ip, v6 ? "]" : "",
	       ntohs(v6 ? ((struct sockaddr_in6 *)&address)->sin6_port
			: ((struct sockaddr_in *)&address)->sin_port));
	fflush(stdout);
}

/* Seconds, with the "s" that the reference's durations end in or without. */
static int operand_timeout(const char *text, unsigned *ret)
{
	size_t len = strlen(text);
	uint64_t seconds;

	if (len > 1 && text[len - 1] == 's')
		len--;
	if (isomer_parse_number(text, len, 3600, &seconds) < 0 || seconds == 0)
		return log_usage("--timeout '%s' is not a number of seconds from 1 to 3600", text);
	*ret = (unsigned)seconds;
	return 0;
}

static int serve(const struct context *ctx, char **args, int n, const char *timeout)
{
	struct collector collector = { .ctx = ctx };
	struct http_page page = {
		.path = n > 2 ? args[2] : NULL,
		.type = "text/plain; version=0.0.4; charset=utf-8",
		.timeout = TIMEOUT_DEFAULT,
		.write = write_page,
		.arg = &collector,
	};
	struct isomer_prefix ip;
	uint64_t port;
	CLEANUP_FD int end_fd = -1;
	int fd = -1, r, status;

	status = operand_address(args[0], &ip);
	if (status == 0)
		status = operand_number("port", args[1], 0, UINT16_MAX, &port);
	if (status == 0 && page.path && page.path[0] != '/')
		status = log_usage("path '%s' does not begin with a slash", page.path);
	if (status == 0 && timeout)
		status = operand_timeout(timeout, &page.timeout);
	if (status)
		return status;

	r = listen_on(&ip, (uint16_t)port, &fd);
	if (r < 0)
		return log_failure(r, "cannot listen on %s port %s: %m", args[0], args[1]);
	/* Before anybody can know that it serves, and end it. */
	r = end_signals(&end_fd);
	if (r < 0) {
		close(fd);
		return log_failure(r, "cannot wait for signals: %m");
	}
	say_listening(args[0], fd);
	r = http_serve(fd, end_fd, &page);
	if (r == -ELIBACC)
		return log_failure(r, "cannot serve HTTP: apt-get install libmicrohttpd12, or use "
				      "--once");
	if (r < 0)
		return log_failure(r, "cannot serve HTTP on %s port %s: %m", args[0], args[1]);
	return command_finish();
}

static int run(const struct context *ctx, char **args, int n, const char *const *values)
{
	if (values[OPTION_ONCE])
		return n == 0 ? run_once(ctx) : log_usage("metrics --once takes no operands");
	if (n < 2)
		return log_usage("metrics takes ADDRESS PORT [PATH], or --once; see 'isomer-loader "
				 "metrics --help'");
	if (ctx->json)
		return log_usage(
			"metrics has --json with --once only: HTTP serves Prometheus' format");
	return serve(ctx, args, n, values[OPTION_TIMEOUT]);
}

const struct command cmd_metrics = {
	.name = "metrics",
	.operands = "ADDRESS PORT [PATH]",
	.summary = "export counters to Prometheus over HTTP",
	.help = "Serves the counters in the format of Prometheus on ADDRESS and PORT, at /metrics and /, or\n"
		"at PATH alone, until SIGINT or SIGTERM. ADDRESS is one of the namespace that the\n"
		"command was started in, also with --netns. Members of the group of the state can run\n"
		"it without any capability (Linux 5.19 and newer). It survives unload and load.\n"
		"\n"
		"Options:\n"
		"  --once             print the counters once to stdout, for a textfile collector\n"
		"  --timeout SECONDS  how long a client may be idle (default 30)\n"
		"\n"
		"Example:\n"
		"  isomer-loader metrics 127.0.0.1 8000\n",
	.min_args = 0,
	.max_args = 3,
	.json = true,
	.stays_outside = true,
	.options = options,
	.caps = CAPS_READ | CAPS(CAP_NET_BIND_SERVICE),
	.run = run,
};
