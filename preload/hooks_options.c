/* SPDX-License-Identifier: BSD-3-Clause */
/* getsockopt() and setsockopt(): see hooks_receive.c. */
#include <stddef.h>
#include <sys/socket.h>

#include "preload/real.h"
#include "preload/udp_options.h"

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

	if (concerns(fd, level, &mark))
		return udp_option_set(&mark, fd, level, option, value, len);
	return real_setsockopt(fd, level, option, value, len);
}
