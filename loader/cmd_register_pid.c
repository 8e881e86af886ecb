/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/caps.h"
#include "loader/command.h"
#include "loader/log.h"
#include "loader/operand.h"
#include "loader/process_sockets.h"
#include "loader/registration.h"

/* A process keeps at most two sockets of one address and port: the second takes over when the
 * first is closed, and the kernel shares among the others. */
#define SOCKETS_MAX 2

struct wanted {
	pid_t pid;
	const struct netns *netns;
	uint8_t protocol;
	uint16_t port;
	struct isomer_prefix address;

	struct registration found[SOCKETS_MAX];
	int n;
	bool saw_mptcp, saw_other_netns;
};

static void wanted_done(struct wanted *w)
{
	for (int i = 0; i < w->n; i++)
		close(w->found[i].fd);
	w->n = 0;
}

/* ---- operands ---- */

#define PIDFILE_MAX 32

static int read_pidfile(const char *path, char ret[PIDFILE_MAX])
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, ret, PIDFILE_MAX);
	if (n < 0)
		return -errno;
	if (n == PIDFILE_MAX)
		return -EFBIG;
	ret[n] = '\0';
	ret[strcspn(ret, "\r\n")] = '\0';
	return 0;
}

static int operand_pid(const char *text, pid_t *ret)
{
	char content[PIDFILE_MAX];
	uint64_t number;
	int r;

	if (isomer_parse_number(text, strlen(text), INT32_MAX, &number) < 0) {
		r = read_pidfile(text, content);
		if (r == -ENOENT)
			return log_usage("pid '%s' is neither a number nor a file that holds one",
					 text);
		if (r < 0)
			return log_failure(r, "cannot read a pid from '%s': %m", text);
		if (isomer_parse_number(content, strlen(content), INT32_MAX, &number) < 0)
			return log_failure(-EINVAL, "the file '%s' does not hold a pid", text);
	}
	if (number == 0)
		return log_usage("pid '%s' is not the number of a process", text);
	*ret = (pid_t)number;
	return 0;
}

/* ---- finding ---- */

static bool has_address(const struct isomer_socket *s, const struct isomer_prefix *address)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&s->local;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&s->local;

	if (s->local.ss_family == AF_INET)
		return address->domain == AF_INET && !memcmp(&in->sin_addr, address->addr, 4);
	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		return address->domain == AF_INET &&
		       !memcmp(&in6->sin6_addr.s6_addr[12], address->addr, 4);
	return address->domain == AF_INET6 && !memcmp(&in6->sin6_addr, address->addr, 16);
}

static int collect(int fd, void *arg)
{
	struct wanted *w = arg;
	struct isomer_socket s;
	int r;

	r = isomer_socket_inspect(fd, &s);
	if (r == -EMEDIUMTYPE)
		w->saw_mptcp = true;
	if (r < 0 || s.protocol != w->protocol || s.port != w->port ||
	    !has_address(&s, &w->address))
		return 0;
	r = netns_check_socket(w->netns, fd);
	if (r == -EXDEV)
		w->saw_other_netns = true;
	if (r < 0)
		return r == -EXDEV ? 0 : r;
	for (int i = 0; i < w->n; i++)
		if (w->found[i].socket.cookie == s.cookie)
			return 0;
	if (w->n == SOCKETS_MAX)
		return 0;

	w->found[w->n].fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (w->found[w->n].fd < 0)
		return -errno;
	w->found[w->n++].socket = s;
	return 0;
}

static int find_sockets(char **args, struct wanted *w)
{
	const char *kind = w->protocol == IPPROTO_TCP ? "listening" : "unconnected";
	int r = process_sockets_visit(w->pid, collect, w);

	if (r == -ESRCH)
		return log_failure(r, "there is no process %d", (int)w->pid);
	if (r == -EPERM || r == -EACCES)
		return log_failure(r, "not allowed to take sockets from process %d: run as root",
				   (int)w->pid);
	if (r < 0)
		return log_failure(r, "cannot look through the sockets of process %d: %m",
				   (int)w->pid);
	if (w->n > 0)
		return 0;
	if (w->saw_other_netns)
		return log_failure(-EXDEV,
				   "the socket of process %d belongs to another network namespace: "
				   "use --netns /proc/%d/ns/net",
				   (int)w->pid, (int)w->pid);
	return log_failure(
		-ENOENT, "process %d has no %s %s socket on %s port %s%s", (int)w->pid, kind,
		args[2], args[3], args[4],
		w->saw_mptcp ? "; it has MPTCP sockets, which the kernel keeps out of maps" : "");
}

static int check_namespace(const struct context *ctx, pid_t pid)
{
	uint64_t inode;
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	r = isomer_netns_inode(path, &inode);
	if (r == -ENOENT)
		return log_failure(r, "there is no process %d", (int)pid);
	if (r == -EACCES || r == -EPERM)
		return log_failure(r, "not allowed to look into process %d: run as root", (int)pid);
	if (r < 0)
		return log_failure(r, "cannot tell the network namespace of process %d: %m",
				   (int)pid);
	if (inode != ctx->netns.inode)
		return log_failure(-EXDEV,
				   "process %d is in another network namespace: use --netns %s",
				   (int)pid, path);
	return 0;
}

static int run(const struct context *ctx, char **args, int n, const char *const *values)
{
	CLEANUP(wanted_done) struct wanted w = { .netns = &ctx->netns };
	int status;

	(void)n;
	(void)values;

	status = operand_label(args[1]);
	if (status == 0)
		status = operand_protocol(args[2], &w.protocol);
	if (status == 0)
		status = operand_address(args[3], &w.address);
	if (status == 0)
		status = operand_port(args[4], &w.port);
	if (status == 0)
		status = operand_pid(args[0], &w.pid);
	if (status == 0)
		status = check_namespace(ctx, w.pid);
	if (status == 0)
		status = find_sockets(args, &w);
	if (status)
		return status;

	for (int i = 0; i < w.n; i++)
		w.found[i].label = args[1];
	return registrations_run(ctx, w.found, (size_t)w.n);
}

const struct command cmd_register_pid = {
	.name = "register-pid",
	.operands = "PID|PIDFILE LABEL PROTOCOL IP PORT",
	.summary = "register the socket of a running process under LABEL",
	.help = "Looks through the descriptors of the process for a listening TCP or an unconnected UDP\n"
		"socket with that local address and port, and makes it the current one of the label.\n"
		"A dual-stack socket (on ::) serves IPv4 and IPv6. Of a SO_REUSEPORT group that one\n"
		"process holds, a second member becomes its standby.\n"
		"\n"
		"Examples:\n"
		"  isomer-loader register-pid 12345 foo tcp 127.0.0.1 80\n"
		"  isomer-loader register-pid /run/nginx.pid foo tcp 0.0.0.0 80\n",
	.min_args = 5,
	.max_args = 5,
	.caps = CAPS_CHANGE | CAPS_OWNERS,
	.run = run,
};
