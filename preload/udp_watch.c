/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/udp_watch.h"

#include <errno.h>
#include <stddef.h>

#include "preload/udp_control.h"
#include "preload/udp_marks.h"
#include "preload/udp_peers.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

/* Sets an option. Returns whether the program had, or -errno. */
static int set(int fd, int level, int option)
{
	const int on = 1;
	int before = 0;
	socklen_t len = sizeof(before);

	if (getsockopt(fd, level, option, &before, &len) < 0 ||
	    setsockopt(fd, level, option, &on, sizeof(on)) < 0)
		return -errno;
	return before != 0;
}

static int set_all(int fd, const struct isomer_socket *s, unsigned *ret_wishes)
{
	int wish4 = 0, wish6 = 0, freebind = 0;

	if (s->ipv4)
		wish4 = set(fd, SOL_IP, IP_RECVORIGDSTADDR);
	if (s->ipv6)
		wish6 = set(fd, SOL_IPV6, IPV6_RECVORIGDSTADDR);
	/* To send from an address of a local route (AnyIP) as IPv4 may without. */
	if (s->ipv6)
		freebind = set(fd, SOL_IPV6, IPV6_FREEBIND);
	if (wish4 < 0 || wish6 < 0)
		return wish4 < 0 ? wish4 : wish6;

	*ret_wishes = (wish4 ? UDP_WISH_ORIGDST4 : 0U) | (wish6 ? UDP_WISH_ORIGDST6 : 0U) |
		      (freebind > 0 ? UDP_WISH_FREEBIND : 0U);
	return 0;
}

int udp_watch(int fd, const struct isomer_socket *s, uint64_t netns_inode)
{
	struct udp_mark mark, known;
	int saved = errno, r;

	if (udp_mark_look(fd, &known) && known.cookie == s->cookie)
		return 0;
	mark = (struct udp_mark){
		.cookie = s->cookie,
		.ipv6 = s->local.ss_family == AF_INET6,
		.forks = udp_marks_forks,
		.netns_inode = (uint32_t)netns_inode, /* the kernel has no larger ones */
	};
	if (!udp_address_of(&s->local, sizeof(s->local), &mark.bound))
		return -EAFNOSUPPORT;
	r = udp_peers_start();
	if (r == 0)
		r = set_all(fd, s, &mark.wishes);
	if (r == 0)
		r = udp_mark_set(fd, &mark);
	errno = saved;
	return r;
}
