/* SPDX-License-Identifier: BSD-3-Clause */
/* One call each on the socket of udp_cases, and all that the kernel says to it, printed. */
#pragma once

#include <sys/uio.h>
#include <time.h>

#include "guest.h"

extern struct sockaddr_storage server_addr;
extern socklen_t server_len;
extern int server, client;
extern bool ipv6; /* the server's family */

/** Sets an option of the server's socket. */
void udp_set(int level, int option, int value);

/** Reads one, @len bytes of it. */
void udp_get(int level, int option, socklen_t len);

/** A datagram from the client, which has arrived when this returns. */
void client_sends(const char *text, size_t n);

void print_bytes(const char *what, const void *data, size_t n);

/** Prints what a call returned, errno, and @size bytes of its data. */
void print_result(const char *what, ssize_t n, const void *data, size_t size);

/** Receives what is left, and says how much that was. */
void drain(void);

/* @what names the case. A size of SIZE_MAX: NULL is passed. */
void by_recvmsg(const char *what, size_t size, size_t namelen, size_t controllen, int flags);
void by_recvfrom(const char *what, size_t size, size_t namelen, int flags);
void by_recv(const char *what, size_t size, int flags);
void by_read(const char *what, size_t size);
void by_readv(const char *what, const struct iovec *iov, int count, const char *data, size_t size);
void by_recvmmsg(const char *what, unsigned n, int flags, struct timespec *timeout,
		 size_t controllen, size_t size);
