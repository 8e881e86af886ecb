/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls that ask and set: see hooks_receive.c. */
#include <stdarg.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "preload/real.h"
#include "preload/udp_kept.h"
#include "preload/udp_options.h"
#include "preload/udp_receive.h"

#define EXPORT __attribute__((visibility("default")))

static inline bool concerns(int fd, int level, struct udp_mark *ret)
{
	return (level == SOL_IP || level == SOL_IPV6) && udp_mark_look(fd, ret);
}

EXPORT int getsockopt(int fd, int level, int option, void *value, socklen_t *len)
{
	struct udp_mark mark;

	if (concerns(fd, level, &mark))
		return udp_option_get(&mark, fd, level, option, value, len);
	return real_getsockopt(fd, level, option, value, len);
}

EXPORT int setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	struct udp_mark mark;

	/* They were opened with what the server's had. */
	if (udp_kept_any() && udp_mark_look(fd, &mark))
		udp_kept_close(mark.cookie);
	if (concerns(fd, level, &mark))
		return udp_option_set(&mark, fd, level, option, value, len);
	return real_setsockopt(fd, level, option, value, len);
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	struct udp_mark mark;
	void *argument;
	va_list args;

	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	if (request == FIONREAD && argument && udp_mark_look(fd, &mark))
		return udp_receive_length(fd, argument);
	return real_ioctl(fd, request, argument);
}
