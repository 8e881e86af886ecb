/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses as the table of peers keeps them: IPv4 as IPv4-mapped, so that dual-stack sockets have
 * one kind.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* What the kernel asks for: it does without the scope (RFC 2133). */
#define UDP_SIN6_SIZE_MIN offsetof(struct sockaddr_in6, sin6_scope_id)

struct udp_address {
	uint64_t addr[2]; /* in memory as on the wire */
	uint32_t scope;   /* of a link-local address, else 0 */
	uint16_t port;    /* network order */
};

static inline struct in6_addr udp_address_in6(const struct udp_address *a)
{
	struct in6_addr in6;

	_Static_assert(sizeof(in6) == sizeof(a->addr), "sizes");
	memcpy(&in6, a->addr, sizeof(in6));
	return in6;
}

static inline bool udp_address_is_ipv4(const struct udp_address *a)
{
	struct in6_addr in6 = udp_address_in6(a);

	return IN6_IS_ADDR_V4MAPPED(&in6);
}

static inline struct in_addr udp_address_in(const struct udp_address *a)
{
	struct in_addr in;

	memcpy(&in, (const char *)a->addr + 12, sizeof(in));
	return in;
}

/* Neither says where from: 0.0.0.0 and ::. */
static inline bool udp_address_is_wildcard(const struct udp_address *a)
{
	return a->addr[0] == 0 &&
	       (a->addr[1] == 0 ||
		(udp_address_is_ipv4(a) && udp_address_in(a).s_addr == htonl(INADDR_ANY)));
}

/** False: nothing of IPv4 or IPv6. @len bytes of @addr count. */
static inline bool udp_address_of(const void *addr, socklen_t len, struct udp_address *ret)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_UNSPEC };
	struct sockaddr_in in;

	if (len < sizeof(in))
		return false;
	memcpy(&in, addr, sizeof(in));
	if (in.sin_family == AF_INET) {
		in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
		memcpy(in6.sin6_addr.s6_addr + 12, &in.sin_addr, sizeof(in.sin_addr));
		in6.sin6_port = in.sin_port;
	} else if (in.sin_family == AF_INET6 && len >= UDP_SIN6_SIZE_MIN) {
		memcpy(&in6, addr, len < sizeof(in6) ? len : sizeof(in6));
	} else {
		return false;
	}
	memcpy(ret->addr, &in6.sin6_addr, sizeof(ret->addr));
	ret->scope = IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr) ? in6.sin6_scope_id : 0;
	ret->port = in6.sin6_port;
	return true;
}

static inline bool udp_address_same_host(const struct udp_address *a, const struct udp_address *b)
{
	return a->addr[0] == b->addr[0] && a->addr[1] == b->addr[1] && a->scope == b->scope;
}

/* Of those that receive together, nobody sends from it. A broadcast of one network is not known by
 * its looks. */
static inline bool udp_address_is_group(const struct udp_address *a)
{
	struct in6_addr in6 = udp_address_in6(a);
	in_addr_t in = ntohl(udp_address_in(a).s_addr);

	return udp_address_is_ipv4(a) ? IN_MULTICAST(in) || in == INADDR_BROADCAST
				      : IN6_IS_ADDR_MULTICAST(&in6);
}
