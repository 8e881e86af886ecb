/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/memory.h"

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>

/* Copies four bytes from there, and then does not know the option. Without a signal, a pipe, or a
 * system call that servers do not make anyway. */
static bool kernel_reads(int fd, const char *at)
{
	return setsockopt(fd, SOL_SOCKET, INT_MAX, at, sizeof(int)) == 0 || errno != EFAULT;
}

bool memory_is_readable(int fd, const void *start, size_t size)
{
	const char *at = start;
	int saved = errno;
	bool ret = kernel_reads(fd, at) && kernel_reads(fd, at + size - sizeof(int));

	errno = saved;
	return ret;
}
