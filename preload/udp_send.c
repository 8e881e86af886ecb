/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/udp_send.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "preload/guard.h"
#include "preload/memory.h"
#include "preload/real.h"
#include "preload/udp_control.h"
#include "preload/udp_kept.h"
#include "preload/udp_peers.h"
#include "preload/udp_reply.h"
#include "state/cleanup.h"

#define BATCH 16 /* what a stack of 16 KiB has room for */

/* With the program's own control messages, of which there are seldom more. */
#define CONTROL_SIZE 1024

/* The kernel takes a tenth of it (net.core.optmem_max), unless it is told otherwise. */
#define CONTROL_MAX (1 << 20)

/* ---- from where ---- */

static bool peer_of(const struct udp_mark *mark, int fd, const void *addr, socklen_t len,
		    struct udp_address *ret)
{
	struct sockaddr_in6 name = { .sin6_family = AF_UNSPEC }; /* or one of IPv4 */
	int saved = errno;

	if (addr && memory_is_nowhere(addr))
		return false; /* EFAULT */
	if (addr && len >= sizeof(struct sockaddr_in))
		memcpy(&name, addr, len < sizeof(name) ? len : sizeof(name));
	/* The kernel takes this for IPv4 on the one kind of sockets, for no name on the other. */
	if (addr && name.sin6_family == AF_UNSPEC && !mark->ipv6)
		name.sin6_family = AF_INET;
	if (name.sin6_family == AF_UNSPEC) {
		len = sizeof(name);
		if (getpeername(fd, (struct sockaddr *)&name, &len) < 0) {
			errno = saved;
			return false;
		}
	}
	return udp_address_of(&name, len, ret);
}

bool udp_send_answers(const struct udp_mark *mark, int fd, const void *addr, socklen_t len,
		      struct udp_address *ret_local)
{
	struct udp_address peer;

	return peer_of(mark, fd, addr, len, &peer) &&
	       udp_peers_find(mark->cookie, &peer, ret_local);
}

static bool answers(const struct udp_mark *mark, int fd, const struct msghdr *m,
		    struct udp_address *ret_local)
{
	if (m->msg_control && m->msg_controllen && memory_is_nowhere(m->msg_control))
		return false; /* EFAULT */
	return !udp_control_has_source(m) &&
	       udp_send_answers(mark, fd, m->msg_namelen ? m->msg_name : NULL, m->msg_namelen,
				ret_local);
}

/* ---- from the socket itself ---- */

/* What was sent to everybody reached the socket without a binding, and is answered as without the
 * library. The kernel says what such an address is to who wants to send there without a leave. */
static bool is_broadcast(const struct udp_address *local)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = local->port,
				  .sin_addr = udp_address_in(local) };
	GUARD();
	CLEANUP_FD int fd = -1;

	if (!udp_address_is_ipv4(local))
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd >= 0 && connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0 && errno == EACCES;
}

/* What the kernel says to a source that is no address of this host; which one, there is no telling.
 */
static bool is_bad_source(int error)
{
	return error == EINVAL || error == ENETUNREACH;
}

static bool is_refused_broadcast(const struct udp_address *local)
{
	int saved = errno;
	bool ret = is_bad_source(saved) && is_broadcast(local);

	errno = saved;
	return ret;
}

static ssize_t send_with_source(int fd, const struct udp_address *local, const struct msghdr *m,
				int flags, void *control, size_t size)
{
	struct msghdr k = *m;
	int saved = errno;
	ssize_t ret;

	if (!udp_control_add_source(&k, local, control, size)) {
		errno = ENOBUFS; /* as for control messages that are too much for the kernel */
		return -1;
	}
	ret = real_sendmsg(fd, &k, flags);
	if (ret >= 0 || !is_refused_broadcast(local))
		return ret;
	errno = saved;
	return real_sendmsg(fd, m, flags);
}

static ssize_t send_with_much_control(int fd, const struct udp_address *local,
				      const struct msghdr *m, int flags)
{
	size_t size = m->msg_controllen + UDP_CONTROL_SOURCE;
	void *control = MAP_FAILED;
	ssize_t ret;
	int saved;
	GUARD();

	if (m->msg_controllen <= CONTROL_MAX)
		control = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);
	if (control == MAP_FAILED) {
		errno = ENOBUFS;
		return -1;
	}
	ret = send_with_source(fd, local, m, flags, control, size);
	saved = errno;
	munmap(control, size);
	errno = saved;
	return ret;
}

static ssize_t send_same_port(int fd, const struct udp_address *local, const struct msghdr *m,
			      int flags)
{
	_Alignas(struct cmsghdr) char control[CONTROL_SIZE];

	if (m->msg_control && m->msg_controllen > sizeof(control) - UDP_CONTROL_SOURCE)
		return send_with_much_control(fd, local, m, flags);
	return send_with_source(fd, local, m, flags, control, sizeof(control));
}

ssize_t udp_send_from(const struct udp_mark *mark, int fd, const struct udp_address *local,
		      const struct msghdr *m, int flags)
{
	if (local->port == mark->bound.port)
		return send_same_port(fd, local, m, flags);
	return udp_reply_send(mark, fd, local, m, flags, false);
}

/* @more: follow in this call. */
static ssize_t send_one(const struct udp_mark *mark, int fd, const struct msghdr *m, int flags,
			bool more)
{
	struct udp_address local;

	if (memory_is_nowhere(m) || !answers(mark, fd, m, &local))
		return real_sendmsg(fd, m, flags);
	if (local.port == mark->bound.port)
		return send_same_port(fd, &local, m, flags);
	return udp_reply_send(mark, fd, &local, m, flags, more);
}

ssize_t udp_send(const struct udp_mark *mark, int fd, const struct msghdr *m, int flags)
{
	return send_one(mark, fd, m, flags, false);
}

/* ---- sendmmsg() ---- */

/* One that goes by the socket itself, without or with a source that is put into @control. */
static bool batch_add(const struct udp_mark *mark, int fd, const struct msghdr *m, void *control,
		      struct msghdr *ret)
{
	struct udp_address local;

	*ret = *m;
	if (!answers(mark, fd, m, &local))
		return true;
	return local.port == mark->bound.port && !(m->msg_control && m->msg_controllen) &&
	       udp_control_add_source(ret, &local, control, UDP_CONTROL_SOURCE);
}

/* Returns how many went; 0: the first does not go by the socket itself. */
static int send_batch(const struct udp_mark *mark, int fd, struct mmsghdr *v, unsigned n, int flags)
{
	_Alignas(struct cmsghdr) char control[BATCH][UDP_CONTROL_SOURCE];
	struct mmsghdr headers[BATCH];
	unsigned batch = 0;
	int ret;

	while (batch < n && batch < BATCH &&
	       batch_add(mark, fd, &v[batch].msg_hdr, control[batch], &headers[batch].msg_hdr))
		batch++;
	if (batch == 0)
		return 0;
	ret = real_sendmmsg(fd, headers, batch, flags);
	for (int i = 0; i < ret; i++)
		v[i].msg_len = headers[i].msg_len;
	return ret < 0 && is_bad_source(errno) ? 0 : ret; /* a broadcast? */
}

static int send_single(const struct udp_mark *mark, int fd, struct mmsghdr *m, int flags, bool more)
{
	ssize_t sent = send_one(mark, fd, &m->msg_hdr, flags, more);

	if (sent < 0)
		return -1;
	m->msg_len = (unsigned)sent;
	return 1;
}

int udp_send_many(const struct udp_mark *mark, int fd, struct mmsghdr *v, unsigned n, int flags)
{
	unsigned done = 0;
	int saved = errno;

	if (n == 0 || memory_is_nowhere(v))
		return real_sendmmsg(fd, v, n, flags);
	if (n > IOV_MAX)
		n = IOV_MAX;
	while (done < n) {
		int ret = send_batch(mark, fd, v + done, n - done, flags);

		if (ret == 0)
			ret = send_single(mark, fd, v + done, flags, done + 1 < n);
		if (ret < 0)
			break;
		done += (unsigned)ret;
	}
	udp_kept_review(mark, fd);
	if (done == 0)
		return -1;
	errno = saved;
	return (int)done;
}
