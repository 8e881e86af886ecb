/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "state/cleanup.h"
#include "state/state.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static int socket_cookie(int fd, uint64_t *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret, &len) < 0 ? -errno : 0;
}

/* A socket of any family is of a namespace; this one needs no module and no right. */
static uint64_t current_cookie(void)
{
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie;

	return fd >= 0 && socket_cookie(fd, &cookie) == 0 ? cookie : 0;
}

static int inode_of(int fd, uint64_t *ret)
{
	struct stat sb;

	if (fstat(fd, &sb) < 0)
		return -errno;
	*ret = sb.st_ino;
	return 0;
}

int netns_enter(const char *path, struct netns *ret)
{
	CLEANUP_FD int fd = -1;
	uint64_t inode, current;
	int r;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return -EINVAL;
	r = inode_of(fd, &inode);
	if (r < 0)
		return r;
	r = isomer_netns_inode(NULL, &current);
	if (r < 0)
		return r;
	if (inode != current && setns(fd, CLONE_NEWNET) < 0)
		return -errno;

	*ret = (struct netns){ .path = path, .inode = inode, .cookie = current_cookie() };
	return 0;
}

int netns_look(const char *path, struct netns *ret)
{
	CLEANUP_FD int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	struct netns ns;
	uint64_t inode = 0;
	int r;

	if (home < 0)
		return -errno;
	r = inode_of(home, &inode);
	if (r == 0)
		r = netns_enter(path, &ns);
	if (r < 0)
		return r;
	if (ns.inode != inode && setns(home, CLONE_NEWNET) < 0)
		return -errno;

	*ret = ns;
	return 0;
}

int netns_check_socket(const struct netns *ns, int fd)
{
	CLEANUP_FD int ns_fd = -1;
	uint64_t cookie, inode;
	int r;

	if (ns->cookie && socket_cookie(fd, &cookie) == 0)
		return cookie == ns->cookie ? 0 : -EXDEV;

	ns_fd = ioctl(fd, SIOCGSKNS);
	if (ns_fd < 0)
		return -errno;
	r = inode_of(ns_fd, &inode);
	if (r < 0)
		return r;
	return inode == ns->inode ? 0 : -EXDEV;
}
