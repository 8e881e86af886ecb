/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/caps.h"
#include "loader/command.h"
#include "loader/log.h"
#include "loader/netns.h"
#include "loader/operand.h"
#include "loader/registration.h"
#include "state/label.h"

/* sd_listen_fds(3) */
#define LISTEN_FDS_START 3
/* More than any unit has; each costs a few system calls. */
#define LISTEN_FDS_MAX 4096

enum { OPTION_FDNAMES };

static const struct command_option options[] = {
	[OPTION_FDNAMES] = { "fdnames", false },
	{ 0 },
};

/* ---- what systemd passes ---- */

static int count_fds(size_t *ret)
{
	const char *text = getenv("LISTEN_FDS");
	uint64_t n;

	if (!text)
		return log_failure(-ENOENT,
				   "LISTEN_FDS is not set: run this from a unit with Sockets=, or "
				   "under systemd-socket-activate");
	if (isomer_parse_number(text, strlen(text), LISTEN_FDS_MAX, &n) < 0 || n == 0)
		return log_failure(-EINVAL, "LISTEN_FDS '%s' is not a number from 1 to %d", text,
				   LISTEN_FDS_MAX);
	*ret = (size_t)n;
	return 0;
}

/* Cuts LISTEN_FDNAMES into @n names, in a copy that the names point into. */
static int split_names(char *copy, size_t n, const char **ret)
{
	size_t found = 0;

	for (char *name = copy; name; found++) {
		char *end = strchr(name, ':');

		if (end)
			*end++ = '\0';
		if (found < n)
			ret[found] = name;
		name = end;
	}
	for (size_t i = 0; found == n && i < n; i++)
		if (isomer_label_check(ret[i]) < 0)
			return log_failure(-EINVAL, "LISTEN_FDNAMES: label '%s' is not valid",
					   ret[i]);
	if (found != n)
		return log_failure(-EINVAL, "LISTEN_FDNAMES has %zu names for %zu sockets", found,
				   n);
	return 0;
}

static int label_all(const char *label, size_t n, const char **ret)
{
	for (size_t i = 0; i < n; i++)
		ret[i] = label;
	return 0;
}

/* ---- what they are ---- */

static const char *reason(int r)
{
	switch (r) {
	case -EBADF:
		return "there is no such descriptor";
	case -ENOTSOCK:
		return "it is not a socket";
	case -EAFNOSUPPORT:
		return "it is not an IPv4 or IPv6 socket";
	case -EPROTONOSUPPORT:
		return "it is neither TCP nor UDP";
	case -EMEDIUMTYPE:
		return "it is MPTCP, which the kernel keeps out of maps";
	case -EISCONN:
		return "it is connected";
	case -EINVAL:
		return "it does not listen, or has no port";
	case -EXDEV:
		return "it belongs to another network namespace";
	default:
		return strerror(-r);
	}
}

static int inspect(const struct context *ctx, const char *const *labels, size_t n,
		   struct registration *ret)
{
	for (size_t i = 0; i < n; i++) {
		struct registration *reg = &ret[i];
		int r;

		reg->label = labels[i];
		reg->fd = LISTEN_FDS_START + (int)i;
		r = isomer_socket_inspect(reg->fd, &reg->socket);
		if (r == 0)
			r = netns_check_socket(&ctx->netns, reg->fd);
		if (r < 0)
			return log_failure(r, "cannot register descriptor %d for label '%s': %s",
					   reg->fd, labels[i], reason(r));
	}
	return 0;
}

static int run(const struct context *ctx, char **args, int n_args, const char *const *values)
{
	CLEANUP_FREE struct registration *list = NULL;
	CLEANUP_FREE const char **labels = NULL;
	CLEANUP_FREE char *names = NULL;
	bool fdnames = values[OPTION_FDNAMES] != NULL;
	size_t n = 0;
	int status;

	if (fdnames ? n_args != 0 : n_args != 1)
		return log_usage("register takes either LABEL or --fdnames; see 'isomer-loader "
				 "register --help'");
	status = count_fds(&n);
	if (status)
		return status;
	list = calloc(n, sizeof(*list));
	labels = calloc(n, sizeof(*labels));
	names = strdup(getenv("LISTEN_FDNAMES") ? getenv("LISTEN_FDNAMES") : "");
	if (!list || !labels || !names)
		return log_failure(-ENOMEM, "cannot register: %m");

	status = fdnames ? split_names(names, n, labels) : label_all(args[0], n, labels);
	if (status == 0 && !fdnames)
		status = operand_label(args[0]);
	if (status == 0)
		status = inspect(ctx, labels, n, list);
	return status ? status : registrations_run(ctx, list, n);
}

const struct command cmd_register = {
	.name = "register",
	.operands = "LABEL",
	.summary = "register the sockets passed by systemd socket activation",
	.help = "Takes the LISTEN_FDS sockets that systemd passes and registers all of them under LABEL.\n"
		"Of several on one address and port (a SO_REUSEPORT group) the first becomes current\n"
		"and the others its standbys. LISTEN_PID is not looked at.\n"
		"\n"
		"Options:\n"
		"  --fdnames  take the label of each socket from LISTEN_FDNAMES (FileDescriptorName= in\n"
		"             a .socket unit) instead of LABEL\n"
		"\n"
		"Example: a service that is activated by foo.socket, and beside it\n"
		"  [Unit]\n"
		"  Requisite=foo.socket\n"
		"  [Service]\n"
		"  Type=oneshot\n"
		"  RemainAfterExit=yes\n"
		"  Sockets=foo.socket\n"
		"  ExecStart=/usr/sbin/isomer-loader register foo\n",
	.min_args = 0,
	.max_args = 1,
	.options = options,
	.caps = CAPS_CHANGE,
	.run = run,
};
