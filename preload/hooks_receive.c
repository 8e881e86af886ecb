/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls that receive. Programs make them in signal handlers, between vfork() and exec(), and
 * before anything has been set up: without a registered UDP socket nothing is done here.
 */
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "preload/real.h"
#include "preload/udp_receive.h"

#define EXPORT __attribute__((visibility("default")))

/* What libc's own fortified forms end in. */
void __chk_fail(void) __attribute__((noreturn));

ssize_t __recv_chk(int fd, void *buf, size_t n, size_t size, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t size, int flags, struct sockaddr *addr,
		       socklen_t *len);
ssize_t __read_chk(int fd, void *buf, size_t n, size_t size);

EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	struct udp_mark mark;

	if (udp_mark_look_likely(fd, &mark))
		return udp_receive_from(&mark, fd, buf, n, flags, NULL, NULL);
	return real_recv(fd, buf, n, flags);
}

EXPORT ssize_t recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
			socklen_t *len)
{
	struct udp_mark mark;

	if (udp_mark_look_likely(fd, &mark))
		return udp_receive_from(&mark, fd, buf, n, flags, addr, len);
	return real_recvfrom(fd, buf, n, flags, addr, len);
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	struct udp_mark mark;

	if (udp_mark_look_likely(fd, &mark))
		return udp_receive(&mark, fd, m, flags);
	return real_recvmsg(fd, m, flags);
}

EXPORT int recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout)
{
	struct udp_mark mark;

	if (udp_mark_look(fd, &mark))
		return udp_receive_many(&mark, fd, v, n, flags, timeout);
	return real_recvmmsg(fd, v, n, flags, timeout);
}

EXPORT ssize_t read(int fd, void *buf, size_t n)
{
	struct udp_mark mark;

	/* Without room it looks at nothing. */
	if (n > 0 && udp_mark_look(fd, &mark))
		return udp_receive_from(&mark, fd, buf, n, 0, NULL, NULL);
	return real_read(fd, buf, n);
}

EXPORT ssize_t readv(int fd, const struct iovec *iov, int n)
{
	struct udp_mark mark;

	if (udp_mark_look(fd, &mark))
		return udp_receive_vector(&mark, fd, iov, n);
	return real_readv(fd, iov, n);
}

EXPORT ssize_t __recv_chk(int fd, void *buf, size_t n, size_t size, int flags)
{
	if (n > size)
		__chk_fail();
	return recv(fd, buf, n, flags);
}

EXPORT ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t size, int flags,
			      struct sockaddr *addr, socklen_t *len)
{
	if (n > size)
		__chk_fail();
	return recvfrom(fd, buf, n, flags, addr, len);
}

EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t size)
{
	if (n > size)
		__chk_fail();
	return read(fd, buf, n);
}
