/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/candidate.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stddef.h>

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

/* Copies four bytes from there, and then does not know the option. Without a signal, a pipe, or a
 * system call that servers do not make anyway. */
static bool kernel_reads(int fd, const char *at)
{
	return setsockopt(fd, SOL_SOCKET, INT_MAX, at, sizeof(int)) == 0 || errno != EFAULT;
}

bool candidate_readable(int fd, const struct sockaddr *addr, socklen_t len)
{
	const char *start = (const char *)addr;

	/* Too short, or too long for two pages: bind() is going to refuse it. */
	if (len < sizeof(struct sockaddr_in) || len > sizeof(struct sockaddr_storage))
		return false;
	return kernel_reads(fd, start) && kernel_reads(fd, start + len - sizeof(int));
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
