/* SPDX-License-Identifier: BSD-3-Clause */
#include "state/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

/* Older headers lack these. */
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static int get_int(int fd, int level, int option, int *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, level, option, ret, &len) < 0 ? -errno : 0;
}

static int get_u64(int fd, int option, uint64_t *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, option, ret, &len) < 0 ? -errno : 0;
}

/* An IPv6 socket on a specific IPv6 address is not dual-stack, whatever IPV6_V6ONLY says; one on
 * an IPv4-mapped address gets no IPv6 packets. */
static void set_domains(struct isomer_socket *s, bool v6only)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&s->local;
	bool mapped;

	if (s->local.ss_family != AF_INET6) {
		s->ipv4 = true;
		s->ipv6 = false;
		return;
	}
	mapped = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
	s->ipv4 = mapped || (IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr) && !v6only);
	s->ipv6 = !mapped;
}

void isomer_socket_set_local(struct isomer_socket *s, const struct sockaddr *addr, socklen_t len,
			     bool v6only)
{
	memset(&s->local, 0, sizeof(s->local));
	memcpy(&s->local, addr, len < sizeof(s->local) ? len : sizeof(s->local));
	/* At the same place in both families. */
	s->port = ntohs(((const struct sockaddr_in *)&s->local)->sin_port);
	set_domains(s, v6only);
}

static int look_protocol(int fd, struct isomer_socket *s, bool *ret_mptcp)
{
	int type, protocol, r;

	r = get_int(fd, SOL_SOCKET, SO_TYPE, &type);
	if (r < 0)
		return r;
	r = get_int(fd, SOL_SOCKET, SO_PROTOCOL, &protocol);
	if (r < 0)
		return r;
	*ret_mptcp = protocol == IPPROTO_MPTCP;
	if (*ret_mptcp)
		protocol = IPPROTO_TCP;
	if (!(type == SOCK_STREAM && protocol == IPPROTO_TCP) &&
	    !(type == SOCK_DGRAM && protocol == IPPROTO_UDP))
		return -EPROTONOSUPPORT;

	s->protocol = (uint8_t)protocol;
	return 0;
}

static int look_local(int fd, struct isomer_socket *s)
{
	struct sockaddr_storage local = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(local);
	int v6only = 0;

	if (getsockname(fd, (struct sockaddr *)&local, &len) < 0)
		return -errno;
	if (local.ss_family != AF_INET && local.ss_family != AF_INET6)
		return -EAFNOSUPPORT;
	if (local.ss_family == AF_INET6)
		(void)get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only);
	isomer_socket_set_local(s, (struct sockaddr *)&local, len, v6only);
	return 0;
}

int isomer_socket_look(int fd, struct isomer_socket *ret, bool *ret_mptcp)
{
	struct isomer_socket s;
	int r;

	memset(&s, 0, sizeof(s));
	r = look_local(fd, &s);
	if (r == 0)
		r = look_protocol(fd, &s, ret_mptcp);
	if (r == 0)
		r = get_u64(fd, SO_COOKIE, &s.cookie);
	if (r < 0)
		return r;
	if (get_u64(fd, SO_NETNS_COOKIE, &s.netns_cookie) < 0)
		s.netns_cookie = 0;

	*ret = s;
	return 0;
}

static int check_readiness(int fd, const struct isomer_socket *s)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int listening, r;

	if (s->protocol == IPPROTO_UDP) {
		if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0)
			return -EISCONN;
		return errno != ENOTCONN ? -errno : s->port == 0 ? -EINVAL : 0;
	}

	r = get_int(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening);
	if (r < 0)
		return r;
	return listening ? 0 : -EINVAL;
}

int isomer_socket_inspect(int fd, struct isomer_socket *ret)
{
	struct isomer_socket s;
	bool mptcp;
	int r;

	r = isomer_socket_look(fd, &s, &mptcp);
	if (r == 0)
		r = mptcp ? -EMEDIUMTYPE : check_readiness(fd, &s);
	if (r < 0)
		return r;

	*ret = s;
	return 0;
}

bool isomer_socket_same_address(const struct isomer_socket *a, const struct isomer_socket *b)
{
	if (a->protocol != b->protocol || a->port != b->port ||
	    a->local.ss_family != b->local.ss_family)
		return false;

	if (a->local.ss_family == AF_INET6) {
		const struct sockaddr_in6 *x = (const struct sockaddr_in6 *)&a->local;
		const struct sockaddr_in6 *y = (const struct sockaddr_in6 *)&b->local;

		return x->sin6_scope_id == y->sin6_scope_id &&
		       !memcmp(&x->sin6_addr, &y->sin6_addr, sizeof(x->sin6_addr));
	}
	return ((const struct sockaddr_in *)&a->local)->sin_addr.s_addr ==
	       ((const struct sockaddr_in *)&b->local)->sin_addr.s_addr;
}
