/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <isomer/registrar.h>

#include "loader/caps.h"
#include "loader/command.h"
#include "loader/log.h"
#include "loader/operand.h"
#include "loader/registrar_listen.h"
#include "loader/registrar_server.h"

#define MODE_DEFAULT 0666 /* who may register is a matter of grants */

/* What serving takes: to open pins before 5.19 and to see the namespaces of sockets, to be the
 * client for the kernel, and to make sockets in his namespace. None that overrides a file's mode.
 */
#define CAPS_SERVE                                                                                 \
	(CAPS(CAP_BPF) | CAPS(CAP_NET_ADMIN) | CAPS(CAP_SETUID) | CAPS(CAP_SETGID) |               \
	 CAPS(CAP_SYS_ADMIN) | CAPS(CAP_NET_BIND_SERVICE))

enum { OPTION_SOCKET, OPTION_MODE, OPTION_GROUP };

static const struct command_option options[] = {
	[OPTION_SOCKET] = { "socket", true },
	[OPTION_MODE] = { "mode", true },
	[OPTION_GROUP] = { "group", true },
	{ 0 },
};

static int parse_mode(const char *text, mode_t *ret)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (text[strspn(text, "01234567")] || !*text || mode > 0777)
		return log_usage("--mode '%s' is not an octal number up to 777", text);
	*ret = (mode_t)mode;
	return 0;
}

static int parse(const char *const *values, struct registrar_place *ret)
{
	int status = 0;

	*ret = (struct registrar_place){
		.path = values[OPTION_SOCKET] ? values[OPTION_SOCKET] : ISOMER_REGISTRAR_PATH,
		.mode = MODE_DEFAULT,
		.has_group = values[OPTION_GROUP],
	};
	if (ret->path[0] != '/')
		status = log_usage("--socket '%s' is not an absolute path", ret->path);
	if (status == 0 && values[OPTION_MODE])
		status = parse_mode(values[OPTION_MODE], &ret->mode);
	if (status == 0 && ret->has_group)
		status = operand_group(values[OPTION_GROUP], &ret->group);
	return status;
}

static int say_cannot_listen(int r, const char *path)
{
	switch (r) {
	case -EADDRINUSE:
		return log_failure(r, "another registrar serves %s: stop it, or use --socket",
				   path);
	case -EEXIST:
		return log_failure(r, "%s is no socket of a registrar: remove it, or use --socket",
				   path);
	case -ENAMETOOLONG:
		return log_failure(r, "%s is too long for a Unix socket", path);
	default:
		return log_failure(r, "cannot listen on %s: %m", path);
	}
}

/* Without a right that it is going to need it would refuse every client, with reasons that lead him
 * astray. */
static int check_caps(const struct context *ctx)
{
	char missing[CAPS_TEXT_SIZE];

	caps_missing(CAPS_SERVE, missing);
	if (!*missing)
		return 0;
	return command_say_not_allowed(ctx, -EPERM, "the registrar cannot serve others");
}

static int run(const struct context *ctx, char **args, int n, const char *const *values)
{
	struct registrar_server server = { .fd = -1, .bpffs = ctx->bpffs };
	struct registrar_place place;
	bool inherited;
	int r, status;

	(void)args;
	(void)n;

	status = parse(values, &place);
	if (status == 0)
		status = check_caps(ctx);
	if (status)
		return status;
	r = registrar_inherit(&server.fd);
	inherited = r == 0;
	if (r == -EINVAL)
		return log_failure(r, "LISTEN_FDS is not one listening Unix socket: write "
				      "ListenSequentialPacket= in the .socket unit");
	if (r == -ENOENT)
		r = registrar_listen(&place, &server.fd);
	if (r < 0)
		return say_cannot_listen(r, place.path);
	r = caps_limit(CAPS_SERVE);
	if (r < 0)
		return log_failure(r, "cannot drop capabilities: %m");
	r = registrar_hold_signals();
	if (r < 0)
		return log_failure(r, "cannot wait for signals: %m");

	printf("Listening on %s\n", inherited ? "the socket that was passed" : place.path);
	status = command_finish();
	if (status)
		return status;
	r = registrar_serve(&server);
	close(server.fd);
	return r < 0 ? log_failure(r, "cannot serve: %m") : EXIT_SUCCESS;
}

const struct command cmd_registrar = {
	.name = "registrar",
	.operands = "",
	.summary = "register sockets for servers that cannot do so themselves",
	.help = "Serves the preload library on a Unix socket, until SIGINT or SIGTERM: a server under a\n"
		"seccomp filter, in a container, or on a kernel before 5.19 sends its socket, and this\n"
		"command registers it. The user of the server needs the same grant as without. Sockets of\n"
		"every network namespace that has a dispatcher below --bpffs are served. When it ends no\n"
		"traffic stops. With a socket passed by systemd the options are of no effect.\n"
		"\n"
		"Options:\n"
		"  --socket PATH  where to listen (default " ISOMER_REGISTRAR_PATH ")\n"
		"  --mode MODE    who may connect, as an octal mode (default 666)\n"
		"  --group GROUP  group of the socket\n",
	.min_args = 0,
	.max_args = 0,
	.stays_outside = true,
	.options = options,
	.caps = CAPS_SERVE | CAPS(CAP_CHOWN),
	.run = run,
};
