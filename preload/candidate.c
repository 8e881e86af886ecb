/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/candidate.h"

#include <netinet/in.h>
#include <stddef.h>

#include "preload/memory.h"

/* What the kernel asks for: it does without the scope (RFC 2133). */
#define IN6_SIZE_MIN offsetof(struct sockaddr_in6, sin6_scope_id)

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

bool candidate_readable(int fd, const struct sockaddr *addr, socklen_t len)
{
	/* Too short, or too long for two pages: bind() is going to refuse it. */
	if (len < sizeof(struct sockaddr_in) || len > sizeof(struct sockaddr_storage))
		return false;
	return memory_is_readable(fd, addr, len);
}

bool candidate_bind(struct isomer_socket *s, const struct sockaddr *addr, socklen_t len)
{
	bool in6 = s->local.ss_family == AF_INET6, v6only = in6 && !s->ipv4;

	if (!addr || len < (in6 ? IN6_SIZE_MIN : sizeof(struct sockaddr_in)))
		return false;
	if (in6 ? addr->sa_family != AF_INET6
		: addr->sa_family != AF_INET && addr->sa_family != AF_UNSPEC)
		return false;

	isomer_socket_set_local(s, addr, len, v6only);
	s->local.ss_family = in6 ? AF_INET6 : AF_INET;
	return true;
}
