/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls that make a socket, or another descriptor of one: servers move theirs to a number of their
 * choice; and the one that closes it. See hooks_receive.c.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include "preload/real.h"
#include "preload/udp_kept.h"
#include "preload/udp_marks.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT int socket(int domain, int type, int protocol)
{
	int ret = real_socket(domain, type, protocol);

	udp_mark_made();
	return ret;
}

EXPORT int close(int fd)
{
	struct udp_mark mark;
	int ret;

	if (udp_kept_any() && udp_mark_look(fd, &mark))
		udp_kept_close(mark.cookie);
	ret = real_close(fd);
	udp_mark_closed(fd);
	return ret;
}

EXPORT int dup(int fd)
{
	int ret = real_dup(fd);

	if (ret >= 0)
		udp_mark_copy(fd, ret);
	return ret;
}

EXPORT int dup2(int fd, int copy)
{
	int ret = real_dup2(fd, copy);

	if (ret >= 0)
		udp_mark_copy(fd, ret);
	return ret;
}

EXPORT int dup3(int fd, int copy, int flags)
{
	int ret = real_dup3(fd, copy, flags);

	if (ret >= 0)
		udp_mark_copy(fd, ret);
	return ret;
}

/* What there is for an argument is of a pointer's size, or is not looked at. */
EXPORT int fcntl(int fd, int command, ...)
{
	void *argument;
	va_list args;
	int ret;

	va_start(args, command);
	argument = va_arg(args, void *);
	va_end(args);
	ret = real_fcntl(fd, command, argument);
	if (ret >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC))
		udp_mark_copy(fd, ret);
	return ret;
}

/* The name of the same call in programs built for large files. */
EXPORT int fcntl64(int fd, int command, ...) __attribute__((alias("fcntl")));
