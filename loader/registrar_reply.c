/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/registrar_reply.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#include "loader/explanation.h"
#include "loader/snapshot.h"
#include "state/cleanup.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

/* Does the program send it to this very socket? That takes no time, where reading a million
 * bindings takes half a second. No is no answer: the socket may be a standby, or one of a group. */
static bool is_served(const char *bpffs, const struct netns *ns, const struct target *t,
		      uint64_t cookie)
{
	CLEANUP(dispatcher_close) struct dispatcher d = DISPATCHER_NONE;
	struct kernel_verdict verdict;
	pid_t holder;

	return dispatcher_open(bpffs, ns, DISPATCHER_READ, &d, &holder) == 0 &&
	       kernel_verdict_ask(&d, t, &verdict) == 0 && verdict.socket == cookie;
}

int reply_socket_check(const char *bpffs, const struct netns *ns,
		       const struct isomer_registrar_request *q, uint64_t cookie)
{
	CLEANUP(dispatcher_close) struct dispatcher d = DISPATCHER_NONE;
	CLEANUP(snapshot_done) struct snapshot s = SNAPSHOT_NONE;
	struct target t = { .domain = q->domain, .protocol = q->protocol, .port = q->port };
	int r;

	memcpy(t.addr, q->addr, sizeof(t.addr));
	if (is_served(bpffs, ns, &t, cookie))
		return 0;
	r = snapshot_take(bpffs, ns, &d, &s);
	if (r < 0)
		return r;
	explanation_find_bindings(&s, &t);
	if (s.bindings.n == 0 ||
	    strcmp(snapshot_label(&s, s.bindings.entries[0].destination), q->label))
		return -EPERM;
	return 0;
}

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int set_options(int fd, bool v6)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct sock_fprog program = { .len = 1, .filter = &drop };
	int r;

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		return -errno;
	r = set_int(fd, SOL_SOCKET, SO_LOCK_FILTER, 1);
	/* Another process of the server may have such a socket, too. */
	if (r == 0)
		r = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	/* Of a prefix no address need be configured. */
	if (r == 0)
		r = v6 ? set_int(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1)
		       : set_int(fd, IPPROTO_IP, IP_FREEBIND, 1);
	if (r == 0 && v6)
		r = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	return r;
}

static int bind_to(int fd, const struct isomer_registrar_request *q)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(q->port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(q->port) };
	int r;

	memcpy(&in6.sin6_addr, q->addr, sizeof(in6.sin6_addr));
	memcpy(&in.sin_addr, q->addr, sizeof(in.sin_addr));
	r = q->domain == AF_INET6 ? bind(fd, (struct sockaddr *)&in6, sizeof(in6))
				  : bind(fd, (struct sockaddr *)&in, sizeof(in));
	return r < 0 ? -errno : 0;
}

int reply_socket_make(int ns_fd, const struct isomer_registrar_request *q, int *ret_fd)
{
	CLEANUP_FD int fd = -1;
	int r;

	if (setns(ns_fd, CLONE_NEWNET) < 0)
		return -errno;
	fd = socket(q->domain, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = set_options(fd, q->domain == AF_INET6);
	if (r == 0)
		r = bind_to(fd, q);
	if (r < 0)
		return r;

	*ret_fd = TAKE_FD(fd);
	return 0;
}
