/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/udp_reply.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/time.h>
#include <unistd.h>

#include "preload/guard.h"
#include "preload/real.h"
#include "preload/register.h"
#include "preload/start.h"
#include "preload/udp_kept.h"
#include "state/cleanup.h"
#include "state/state.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* How the server sends. */
static const struct option {
	int level, name;
} options[] = {
	{ SOL_SOCKET, SO_MARK },
	{ SOL_SOCKET, SO_PRIORITY },
	{ SOL_SOCKET, SO_BROADCAST },
	{ SOL_SOCKET, SO_DONTROUTE },
	{ SOL_IP, IP_TOS },
	{ SOL_IP, IP_TTL },
	{ SOL_IP, IP_MTU_DISCOVER },
	{ SOL_IPV6, IPV6_TCLASS },
	{ SOL_IPV6, IPV6_UNICAST_HOPS },
	{ SOL_IPV6, IPV6_MTU_DISCOVER },
};

static void carry(int from, int to, int level, int name)
{
	int value = 0, fresh = 0;
	socklen_t len = sizeof(value);

	if (real_getsockopt(from, level, name, &value, &len) < 0)
		return;
	len = sizeof(fresh);
	if (real_getsockopt(to, level, name, &fresh, &len) == 0 && value != fresh)
		(void)real_setsockopt(to, level, name, &value, sizeof(value));
}

static void carry_options(int from, int to, bool ipv6)
{
	struct timeval timeout;
	socklen_t len = sizeof(timeout);

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (ipv6 || options[i].level != SOL_IPV6)
			carry(from, to, options[i].level, options[i].name);
	if (real_getsockopt(from, SOL_SOCKET, SO_SNDTIMEO, &timeout, &len) == 0 &&
	    (timeout.tv_sec || timeout.tv_usec))
		(void)real_setsockopt(to, SOL_SOCKET, SO_SNDTIMEO, &timeout, len);
}

/* Returns what goes into bind(): of the socket's own family, so that the program's names and
 * control messages are as good there. */
static socklen_t address_for(const struct udp_address *a, bool ipv6, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *in = (struct sockaddr_in *)ret;

	memset(ret, 0, sizeof(*ret));
	if (ipv6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_addr = udp_address_in6(a);
		in6->sin6_port = a->port;
		in6->sin6_scope_id = a->scope;
		return sizeof(*in6);
	}
	in->sin_family = AF_INET;
	in->sin_addr = udp_address_in(a);
	in->sin_port = a->port;
	return sizeof(*in);
}

/* A thread may have gone elsewhere since, and @fresh is of where it is. Before Linux 5.14 only the
 * registrar can tell of what namespace @server is. */
static bool is_same_namespace(const struct udp_mark *mark, int server, int fresh)
{
	uint64_t of_server = 0, of_fresh = 0, inode;
	socklen_t len = sizeof(of_server);

	if (real_getsockopt(server, SOL_SOCKET, SO_NETNS_COOKIE, &of_server, &len) == 0 &&
	    real_getsockopt(fresh, SOL_SOCKET, SO_NETNS_COOKIE, &of_fresh, &len) == 0)
		return of_server == of_fresh;
	return mark->netns_inode == 0 || isomer_netns_inode(NULL, &inode) < 0 ||
	       inode == mark->netns_inode;
}

/* For the socket @server. */
static int open_own(const struct udp_mark *mark, int server, const struct udp_address *local,
		    int *ret_fd)
{
	const bool ipv6 = mark->ipv6;
	const int on = 1, off = 0;
	struct sockaddr_storage addr;
	CLEANUP_FD int fd = -1;
	socklen_t len;

	fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!is_same_namespace(mark, server, fd))
		return -EXDEV;
	/* Others may have the port, and the address is nobody's yet. */
	if (real_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	if (ipv6) {
		(void)real_setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, &off, sizeof(off));
		(void)real_setsockopt(fd, SOL_IPV6, IPV6_FREEBIND, &on, sizeof(on));
	} else {
		(void)real_setsockopt(fd, SOL_IP, IP_FREEBIND, &on, sizeof(on));
	}
	len = address_for(local, ipv6, &addr);
	if (real_bind(fd, (struct sockaddr *)&addr, len) < 0)
		return -errno;

	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Under an IPv6 server the registrar's socket for IPv4 is one of IPv4. Control messages of IPv6 are
 * looked at on neither of the two when the peer is one of IPv4. */
static void translate(struct msghdr *m, const struct udp_address *peer,
		      struct sockaddr_storage *name)
{
	m->msg_namelen = address_for(peer, false, name);
	m->msg_name = name;
}

static int refuse(int error)
{
	errno = error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS
			? ENOBUFS
			: EHOSTUNREACH;
	return -1;
}

/* Returns 0 or -errno, which has been said. */
static int open_reply(const struct udp_mark *mark, int fd, const struct udp_address *local,
		      bool *ret_ipv6, int *ret_reply)
{
	struct sockaddr_storage bound;
	int r = open_own(mark, fd, local, ret_reply);

	*ret_ipv6 = mark->ipv6;
	if (r < 0) {
		address_for(local, mark->ipv6, &bound);
		r = register_reply_socket(start_config(), fd, (struct sockaddr *)&bound, r,
					  ret_reply);
		*ret_ipv6 = mark->ipv6 && !udp_address_is_ipv4(local);
	}
	if (r == 0)
		carry_options(fd, *ret_reply, *ret_ipv6);
	return r;
}

ssize_t udp_reply_send(const struct udp_mark *mark, int fd, const struct udp_address *local,
		       const struct msghdr *m, int flags, bool more)
{
	GUARD();
	struct msghdr k = *m;
	struct sockaddr_storage name;
	struct udp_address peer;
	CLEANUP_FD int reply = -1;
	socklen_t len = sizeof(name);
	int saved = errno, r = 0;
	ssize_t ret;
	bool ipv6;

	if (!m->msg_name || m->msg_namelen == 0) { /* connected */
		if (getpeername(fd, (struct sockaddr *)&name, &len) < 0)
			return -1;
		k.msg_name = &name;
		k.msg_namelen = len;
	}
	reply = udp_kept_take(mark->cookie, local, &ipv6);
	if (reply < 0)
		r = open_reply(mark, fd, local, &ipv6, &reply);
	if (r < 0)
		return refuse(r);
	if (mark->ipv6 && !ipv6) {
		if (!udp_address_of(k.msg_name, k.msg_namelen, &peer))
			return refuse(-EOPNOTSUPP);
		translate(&k, &peer, &name);
	}
	if (fcntl(fd, F_GETFL) & O_NONBLOCK)
		flags |= MSG_DONTWAIT;
	errno = saved;
	ret = real_sendmsg(reply, &k, flags);
	udp_kept_give(mark, fd, local, ipv6, TAKE_FD(reply), more);
	return ret;
}
