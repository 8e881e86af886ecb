/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/candidate.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

/* Older headers lack these. */
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* What the kernel asks for: it does without the scope (RFC 2133). */
#define IN6_SIZE_MIN offsetof(struct sockaddr_in6, sin6_scope_id)

static int get_int(int fd, int level, int option, int *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, level, option, ret, &len) < 0 ? -errno : 0;
}

uint16_t candidate_port(const struct sockaddr *addr, socklen_t len)
{
	/* At the same place in both families; AF_UNSPEC is taken for AF_INET by the kernel. */
	_Static_assert(offsetof(struct sockaddr_in, sin_port) ==
			       offsetof(struct sockaddr_in6, sin6_port),
		       "ports");

	if (!addr || len < sizeof(struct sockaddr_in))
		return 0;
	return ntohs(((const struct sockaddr_in *)addr)->sin_port);
}

/* The families that the address leaves of those that the socket could serve. */
static void restrict_domains(struct isomer_socket *s, bool v6only)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&s->local;
	bool any, mapped;

	if (s->local.ss_family != AF_INET6) {
		s->ipv4 = true;
		s->ipv6 = false;
		return;
	}
	any = IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
	mapped = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
	s->ipv4 = mapped || (any && !v6only);
	s->ipv6 = !mapped;
}

static void set_local(struct isomer_socket *s, const void *addr, socklen_t len, bool v6only)
{
	memcpy(&s->local, addr, len < sizeof(s->local) ? len : sizeof(s->local));
	s->port = candidate_port(addr, len);
	restrict_domains(s, v6only);
}

bool candidate_bind(struct isomer_socket *s, const struct sockaddr *addr, socklen_t len)
{
	bool in6 = s->local.ss_family == AF_INET6, v6only = in6 && !s->ipv4;

	if (!addr || len < (in6 ? IN6_SIZE_MIN : sizeof(struct sockaddr_in)))
		return false;
	if (in6 ? addr->sa_family != AF_INET6
		: addr->sa_family != AF_INET && addr->sa_family != AF_UNSPEC)
		return false;

	memset(&s->local, 0, sizeof(s->local));
	set_local(s, addr, len, v6only);
	s->local.ss_family = in6 ? AF_INET6 : AF_INET;
	return true;
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
	if (protocol != (type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP))
		return -EPROTONOSUPPORT;

	s->protocol = (uint8_t)protocol;
	return 0;
}

int candidate_look(int fd, struct isomer_socket *ret, bool *ret_mptcp)
{
	struct sockaddr_storage local = { 0 };
	struct isomer_socket s = { 0 };
	socklen_t len = sizeof(local);
	int v6only = 0, r;

	if (getsockname(fd, (struct sockaddr *)&local, &len) < 0)
		return -errno;
	if (local.ss_family != AF_INET && local.ss_family != AF_INET6)
		return -EAFNOSUPPORT;
	r = look_protocol(fd, &s, ret_mptcp);
	if (r < 0)
		return r;
	if (local.ss_family == AF_INET6)
		(void)get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only);
	set_local(&s, &local, len, v6only);
	len = sizeof(s.netns_cookie);
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &s.netns_cookie, &len) < 0)
		s.netns_cookie = 0;

	*ret = s;
	return 0;
}
