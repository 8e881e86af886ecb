/* SPDX-License-Identifier: BSD-3-Clause */
/* The only user of dlsym(). The next definition rather than libc's, so that other preload
 * libraries keep their turn.
 *
 * Each pointer is looked up when first needed, which may be before any constructor. Two threads
 * may do it at once and find the same, so there is no lock to be left behind by fork().
 */
#include "preload/real.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef int bind_fn(int fd, const struct sockaddr *addr, socklen_t len);
typedef int listen_fn(int fd, int backlog);

static int kernel_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)syscall(SYS_bind, fd, addr, len);
}

static int kernel_listen(int fd, int backlog)
{
	return (int)syscall(SYS_listen, fd, backlog);
}

int real_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	static _Atomic(bind_fn *) next;
	bind_fn *fn = atomic_load_explicit(&next, memory_order_relaxed);

	if (!fn) {
		int saved = errno;

		fn = (bind_fn *)dlsym(RTLD_NEXT, "bind");
		if (!fn || fn == bind) /* ourselves: loaded twice under two names */
			fn = kernel_bind;
		atomic_store_explicit(&next, fn, memory_order_relaxed);
		errno = saved;
	}
	return fn(fd, addr, len);
}

int real_listen(int fd, int backlog)
{
	static _Atomic(listen_fn *) next;
	listen_fn *fn = atomic_load_explicit(&next, memory_order_relaxed);

	if (!fn) {
		int saved = errno;

		fn = (listen_fn *)dlsym(RTLD_NEXT, "listen");
		if (!fn || fn == listen)
			fn = kernel_listen;
		atomic_store_explicit(&next, fn, memory_order_relaxed);
		errno = saved;
	}
	return fn(fd, backlog);
}

/* --- the calls that carry data --------------------------------------------------------------- */

#define FOR_EACH_CALL(CALL)                                                                        \
	CALL(recv)                                                                                 \
	CALL(recvfrom)                                                                             \
	CALL(recvmsg)                                                                              \
	CALL(recvmmsg)                                                                             \
	CALL(read)                                                                                 \
	CALL(readv)                                                                                \
	CALL(send)                                                                                 \
	CALL(sendto)                                                                               \
	CALL(sendmsg)                                                                              \
	CALL(sendmmsg)                                                                             \
	CALL(write)                                                                                \
	CALL(writev)                                                                               \
	CALL(socket)                                                                               \
	CALL(close)                                                                                \
	CALL(dup)                                                                                  \
	CALL(dup2)                                                                                 \
	CALL(dup3)                                                                                 \
	CALL(fcntl)                                                                                \
	CALL(ioctl)                                                                                \
	CALL(getsockopt)                                                                           \
	CALL(setsockopt)

#define DECLARE_NEXT(name) static _Atomic(__typeof__(name) *) next_##name;
FOR_EACH_CALL(DECLARE_NEXT)

/* As for bind(); a call that is not found stays the kernel's. */
#define FIND_NEXT(name)                                                                            \
	do {                                                                                       \
		__typeof__(name) *fn = (__typeof__(name) *)dlsym(RTLD_NEXT, #name);                \
		if (fn != name)                                                                    \
			atomic_store_explicit(&next_##name, fn, memory_order_relaxed);             \
	} while (0);

void real_start(void)
{
	int saved = errno;

	FOR_EACH_CALL(FIND_NEXT)
	errno = saved;
}

#define CALL_NEXT(name, ...)                                                                       \
	({                                                                                         \
		__typeof__(name) *fn_ = atomic_load_explicit(&next_##name, memory_order_relaxed);  \
		fn_ ? fn_(__VA_ARGS__)                                                             \
		    : (__typeof__(fn_(__VA_ARGS__)))syscall(SYS_##name, __VA_ARGS__);              \
	})

ssize_t real_recv(int fd, void *buf, size_t n, int flags)
{
	__typeof__(recv) *fn = atomic_load_explicit(&next_recv, memory_order_relaxed);

	return fn ? fn(fd, buf, n, flags) : syscall(SYS_recvfrom, fd, buf, n, flags, NULL, NULL);
}

ssize_t real_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr, socklen_t *len)
{
	return CALL_NEXT(recvfrom, fd, buf, n, flags, addr, len);
}

ssize_t real_recvmsg(int fd, struct msghdr *m, int flags)
{
	return CALL_NEXT(recvmsg, fd, m, flags);
}

int real_recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout)
{
	return CALL_NEXT(recvmmsg, fd, v, n, flags, timeout);
}

ssize_t real_read(int fd, void *buf, size_t n)
{
	return CALL_NEXT(read, fd, buf, n);
}

ssize_t real_readv(int fd, const struct iovec *iov, int n)
{
	return CALL_NEXT(readv, fd, iov, n);
}

ssize_t real_send(int fd, const void *buf, size_t n, int flags)
{
	__typeof__(send) *fn = atomic_load_explicit(&next_send, memory_order_relaxed);

	return fn ? fn(fd, buf, n, flags) : syscall(SYS_sendto, fd, buf, n, flags, NULL, 0);
}

ssize_t real_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr,
		    socklen_t len)
{
	return CALL_NEXT(sendto, fd, buf, n, flags, addr, len);
}

ssize_t real_sendmsg(int fd, const struct msghdr *m, int flags)
{
	return CALL_NEXT(sendmsg, fd, m, flags);
}

int real_sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags)
{
	return CALL_NEXT(sendmmsg, fd, v, n, flags);
}

ssize_t real_write(int fd, const void *buf, size_t n)
{
	return CALL_NEXT(write, fd, buf, n);
}

ssize_t real_writev(int fd, const struct iovec *iov, int n)
{
	return CALL_NEXT(writev, fd, iov, n);
}

int real_socket(int domain, int type, int protocol)
{
	return CALL_NEXT(socket, domain, type, protocol);
}

int real_close(int fd)
{
	return CALL_NEXT(close, fd);
}

int real_dup(int fd)
{
	return CALL_NEXT(dup, fd);
}

int real_dup2(int fd, int copy)
{
	return CALL_NEXT(dup2, fd, copy);
}

int real_dup3(int fd, int copy, int flags)
{
	return CALL_NEXT(dup3, fd, copy, flags);
}

int real_fcntl(int fd, int command, void *argument)
{
	return CALL_NEXT(fcntl, fd, command, argument);
}

int real_ioctl(int fd, unsigned long request, void *argument)
{
	return CALL_NEXT(ioctl, fd, request, argument);
}

int real_getsockopt(int fd, int level, int option, void *value, socklen_t *len)
{
	return CALL_NEXT(getsockopt, fd, level, option, value, len);
}

int real_setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	return CALL_NEXT(setsockopt, fd, level, option, value, len);
}
