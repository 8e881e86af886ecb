/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/udp_options.h"

#include <errno.h>
#include <stddef.h>

#include "preload/real.h"
#include "preload/udp_control.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

/* 0: this library has nothing to do with the option. */
static unsigned wish_of(int level, int option)
{
	static const struct {
		int level, option;
		enum udp_wish wish;
	} wishes[] = {
		{ SOL_IP, IP_RECVORIGDSTADDR, UDP_WISH_ORIGDST4 },
		{ SOL_IPV6, IPV6_RECVORIGDSTADDR, UDP_WISH_ORIGDST6 },
		{ SOL_IP, IP_FREEBIND, UDP_WISH_FREEBIND },
		{ SOL_IPV6, IPV6_FREEBIND, UDP_WISH_FREEBIND },
	};

	for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++)
		if (wishes[i].level == level && wishes[i].option == option)
			return wishes[i].wish;
	return 0;
}

int udp_option_get(const struct udp_mark *mark, int fd, int level, int option, void *value,
		   socklen_t *len)
{
	int ret = real_getsockopt(fd, level, option, value, len);
	unsigned wish = wish_of(level, option);
	int shown = (mark->wishes & wish) != 0;

	/* IPv4's are one byte for who has room for no more: the first of a small number. */
	if (ret == 0 && wish)
		memcpy(value, &shown, *len < sizeof(shown) ? *len : sizeof(shown));
	return ret;
}

int udp_option_set(const struct udp_mark *mark, int fd, int level, int option, const void *value,
		   socklen_t len)
{
	const int on = 1;
	unsigned wish = wish_of(level, option);
	int ret = real_setsockopt(fd, level, option, value, len), now = 0, saved = errno;
	socklen_t size = sizeof(now);

	if (ret < 0 || !wish)
		return ret;
	/* The kernel knows what it was told: the value may be a byte. */
	if (real_getsockopt(fd, level, option, &now, &size) == 0) {
		udp_mark_wish(fd, (enum udp_wish)wish, now);
		if (!now && (wish != UDP_WISH_FREEBIND || mark->ipv6))
			(void)real_setsockopt(fd, level, option, &on, sizeof(on));
	}
	errno = saved;
	return ret;
}
