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
