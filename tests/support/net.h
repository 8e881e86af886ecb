/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets for tests. @ip is IPv4 or IPv6 text. Descriptors are close-on-exec; functions that make
 * one return it or -errno. Clients give up after NET_TIMEOUT_MS, so a test never hangs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define NET_TIMEOUT_MS 30000

socklen_t net_address(const char *ip, uint16_t port, struct sockaddr_storage *ret);

/* @port 0: any; see net_local_port(). */
int tcp_listen(const char *ip, uint16_t port);
int tcp_listen_reuseport(const char *ip, uint16_t port);
int tcp_listen_dual(uint16_t port); /* on ::, IPV6_V6ONLY off */
int udp_bind(const char *ip, uint16_t port);
int udp_bind_reuseaddr(const char *ip, uint16_t port);
int udp_bind_dual(uint16_t port);

uint16_t net_local_port(int fd);
uint64_t net_cookie(int fd); /* SO_COOKIE */

/** Connects and waits for the end of the handshake. -ECONNREFUSED, -ETIMEDOUT, … */
int tcp_connect(const char *ip, uint16_t port);

/** Accepts on @listener, waiting up to NET_TIMEOUT_MS. */
int tcp_accept(int listener);

/** Is a connection (or datagram) waiting on @fd within @timeout_ms? 0 looks without waiting. */
bool net_readable(int fd, int timeout_ms);

/** Connects to @ip:@port, and says which of the @n @listeners got the connection (it is accepted
 * and closed): index, or -errno of the connect. -ENOENT: none of them did. */
int tcp_who_accepts(const char *ip, uint16_t port, const int *listeners, size_t n);

/** Sends a datagram from a fresh socket and says which of the @n @sockets got it (it is read):
 * index, or -ECONNREFUSED, or -ENOENT when none did. */
int udp_who_receives(const char *ip, uint16_t port, const int *sockets, size_t n);

/** Connects, sends @send (may be NULL), reads until the peer closes or @ret is full; @ret is
 * NUL-terminated. Number of bytes or -errno. */
int tcp_exchange(const char *ip, uint16_t port, const char *send, char *ret, size_t size);

/** A UDP socket on loopback that receives from @ip:@port alone. Not on the address that it asks, as
 * the kernel would have it: its own port there could be one that another client asks. */
int udp_connect(const char *ip, uint16_t port);

/** Sends @text to @ip:@port, waits for an answer from there, NUL-terminated in @ret. Number of
 * bytes or -errno; -EAGAIN: there came none. */
int udp_exchange(const char *ip, uint16_t port, const char *text, char *ret, size_t size);
