/* SPDX-License-Identifier: BSD-3-Clause */
/* Ownership by scope: a variable marked with CLEANUP() is released when it goes out of scope,
 * and TAKE_*() moves what it holds out of it. errno survives.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_closedirp(DIR **dir)
{
	int saved = errno;

	if (*dir)
		closedir(*dir);
	errno = saved;
}

/* "unused": a variable may be there to be held until the end of its scope, and for nothing else. */
#define CLEANUP(fn) __attribute__((cleanup(fn), unused))

static inline void cleanup_closep(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void cleanup_freep(void *p)
{
	free(*(void **)p);
}

#define CLEANUP_FD   CLEANUP(cleanup_closep)
#define CLEANUP_DIR  CLEANUP(cleanup_closedirp)
#define CLEANUP_FREE CLEANUP(cleanup_freep)

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define TAKE_FD(fd) take_fd(&(fd))

#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})
