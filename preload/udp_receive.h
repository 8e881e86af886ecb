/* SPDX-License-Identifier: BSD-3-Clause */
/* Receiving on a registered UDP socket: as the kernel has it, but for that the destination of each
 * datagram is noted. Differences that are left: a header, a control buffer, or an array that
 * recvmmsg() is given, that is no memory of the process is answered with EFAULT when it is at NULL
 * or near it alone; and recvmmsg() that fails with another error than EAGAIN after a multiple of 16
 * datagrams does not keep it for the next call.
 */
#pragma once

#include "preload/udp_marks.h"

ssize_t udp_receive(const struct udp_mark *mark, int fd, struct msghdr *m, int flags);
ssize_t udp_receive_from(const struct udp_mark *mark, int fd, void *buf, size_t n, int flags,
			 struct sockaddr *addr, socklen_t *len);
ssize_t udp_receive_vector(const struct udp_mark *mark, int fd, const struct iovec *iov, int n);

/** What FIONREAD says: the length of the datagram that is next, which the kernel does not tell of a
 * socket in a SOCKMAP. */
int udp_receive_length(int fd, int *ret);

int udp_receive_many(const struct udp_mark *mark, int fd, struct mmsghdr *v, unsigned n, int flags,
		     struct timespec *timeout);
