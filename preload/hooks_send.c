/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls that send: see hooks_receive.c. */
#include <limits.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "preload/real.h"
#include "preload/udp_send.h"

#define EXPORT __attribute__((visibility("default")))

/* Does an answer to the peer that the socket is connected to leave from elsewhere? */
static inline bool answers(int fd, struct udp_mark *ret_mark, struct udp_address *ret_local)
{
	return udp_mark_look(fd, ret_mark) && udp_send_answers(ret_mark, fd, NULL, 0, ret_local);
}

EXPORT ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr,
		      socklen_t len)
{
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = n };
	struct msghdr m = {
		.msg_name = (void *)addr, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1
	};
	struct udp_address local;
	struct udp_mark mark;

	if (udp_mark_look_again(fd, &mark) && udp_send_answers(&mark, fd, addr, len, &local))
		return udp_send_from(&mark, fd, &local, &m, flags);
	return real_sendto(fd, buf, n, flags, addr, len);
}

EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct udp_address local;
	struct udp_mark mark;

	if (answers(fd, &mark, &local))
		return udp_send_from(&mark, fd, &local, &m, flags);
	return real_send(fd, buf, n, flags);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct udp_mark mark;

	if (udp_mark_look_again(fd, &mark))
		return udp_send(&mark, fd, m, flags);
	return real_sendmsg(fd, m, flags);
}

EXPORT int sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags)
{
	struct udp_mark mark;

	if (udp_mark_look_again(fd, &mark))
		return udp_send_many(&mark, fd, v, n, flags);
	return real_sendmmsg(fd, v, n, flags);
}

EXPORT ssize_t write(int fd, const void *buf, size_t n)
{
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct udp_address local;
	struct udp_mark mark;

	if (answers(fd, &mark, &local))
		return udp_send_from(&mark, fd, &local, &m, 0);
	return real_write(fd, buf, n);
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int n)
{
	struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	struct udp_address local;
	struct udp_mark mark;

	/* What it is more than that many, the kernel says differently. */
	if (n >= 0 && n <= IOV_MAX && answers(fd, &mark, &local))
		return udp_send_from(&mark, fd, &local, &m, 0);
	return real_writev(fd, iov, n);
}
