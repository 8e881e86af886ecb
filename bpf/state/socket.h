/* SPDX-License-Identifier: BSD-3-Clause */
/* What a socket is, and whether it may be registered. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct isomer_socket {
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	bool ipv4, ipv6;  /* domains it serves: both for a dual-stack socket */
	uint16_t port;    /* local, host order */
	uint64_t cookie;  /* SO_COOKIE: unique until reboot */
	/* SO_NETNS_COOKIE of the socket's own namespace; 0 before Linux 5.14. */
	uint64_t netns_cookie;
	struct sockaddr_storage local;
};

/**
 * Looks at the socket @fd, whatever state it is in. MPTCP counts as TCP, and @ret_mptcp says so.
 *
 * Returns 0, or what isomer_socket_inspect() says of a socket that never may be registered.
 */
int isomer_socket_look(int fd, struct isomer_socket *ret, bool *ret_mptcp);

/** Gives @s a local address: port, and of the domains that its family and @v6only leave, those
 * that the address leaves. @len bytes of @addr count. */
void isomer_socket_set_local(struct isomer_socket *s, const struct sockaddr *addr, socklen_t len,
			     bool v6only);

/**
 * Looks at the socket @fd.
 *
 * Returns 0 when it may be registered: TCP that listens, or UDP that is bound and not connected.
 * Otherwise
 *   -ENOTSOCK         not a socket
 *   -EAFNOSUPPORT     not IPv4 or IPv6
 *   -EPROTONOSUPPORT  neither TCP nor UDP
 *   -EMEDIUMTYPE      MPTCP: the kernel keeps such sockets out of maps
 *   -EINVAL           TCP that does not listen, UDP without a port
 *   -EISCONN          connected UDP
 * or another negative errno. Allocates nothing, never logs.
 */
int isomer_socket_inspect(int fd, struct isomer_socket *ret);

/** Are the local address and port of the two the same? */
bool isomer_socket_same_address(const struct isomer_socket *a, const struct isomer_socket *b);
