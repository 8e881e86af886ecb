/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/udp_receive.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <sys/uio.h>
#include <time.h>

#include "preload/memory.h"
#include "preload/real.h"
#include "preload/udp_control.h"
#include "preload/udp_kept.h"
#include "preload/udp_peers.h"

#define BATCH 16 /* what a stack of 16 KiB has room for */

/* More than the control messages that servers ask for. A program with a larger buffer gets them
 * written there. */
#define CONTROL_SIZE 1024

/* Of a program that wants none: what it asked for without a buffer is cut off, not ours. */
#define SMALL_CONTROL_SIZE 192

/* One call in the kernel's hands, with what the program has not got, or not big enough. */
struct incoming {
	struct msghdr header;
	struct sockaddr_in6 name;
	bool own_name;
	bool empty; /* no room for data */
	struct iovec one;
	char byte;
};

static bool is_empty(const struct msghdr *m)
{
	if (m->msg_iovlen > IOV_MAX)
		return false; /* EMSGSIZE */
	for (size_t i = 0; i < m->msg_iovlen; i++)
		if (m->msg_iov[i].iov_len)
			return false;
	return true;
}

static void prepare(struct incoming *in, const struct udp_mark *mark, const struct msghdr *m,
		    void *control, size_t size)
{
	socklen_t need = mark->ipv6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	size_t own = m->msg_control ? m->msg_controllen : 0;

	in->header = *m;
	in->empty = false;
	in->own_name = !m->msg_name || m->msg_namelen < need;
	if (in->own_name) {
		in->header.msg_name = &in->name;
		in->header.msg_namelen = sizeof(in->name);
	}
	if (own <= size && !(own && memory_is_nowhere(m->msg_control))) {
		in->header.msg_control = control;
		in->header.msg_controllen = size;
	}
}

/* Room for a byte where the program has none. Returns the flags for the call. */
static int give_room(struct incoming *in, int flags)
{
	in->empty = true;
	in->one = (struct iovec){ .iov_base = &in->byte, .iov_len = 1 };
	in->header.msg_iov = &in->one;
	in->header.msg_iovlen = 1;
	return flags | MSG_TRUNC;
}

/* A socket in a SOCKMAP takes nothing from the queue then, unlike any other. */
static bool has_no_room(const struct msghdr *m, int flags)
{
	return !(flags & MSG_ERRQUEUE) && !memory_is_nowhere(m->msg_iov) && is_empty(m);
}

/* Notes where the datagram went. False: it does not show that the socket has received it. */
static bool note(const struct udp_mark *mark, const struct msghdr *m, int flags)
{
	struct udp_address peer, local;

	/* There the name is whom something was sent to. */
	if (flags & MSG_ERRQUEUE || !udp_control_destination(m, &local) ||
	    !udp_address_of(m->msg_name, m->msg_namelen, &peer))
		return false;
	if (udp_address_is_group(&local) ||
	    (local.port == mark->bound.port && udp_address_same_host(&local, &mark->bound)))
		udp_peers_forget(mark->cookie, &peer);
	else
		udp_peers_set(mark->cookie, &peer, &local);
	return true;
}

/* Gives the program what it would have got, @n included. */
static size_t finish(struct incoming *in, const struct udp_mark *mark, struct msghdr *m, int flags,
		     size_t n)
{
	socklen_t len = in->header.msg_namelen;

	if (in->own_name && m->msg_name)
		memcpy(m->msg_name, &in->name, len < m->msg_namelen ? len : m->msg_namelen);
	if (m->msg_name)
		m->msg_namelen = len;
	if (in->empty && n > 0)
		in->header.msg_flags |= MSG_TRUNC;
	udp_control_give(&in->header, mark->wishes, m);
	return in->empty && !(flags & MSG_TRUNC) ? 0 : n;
}

ssize_t udp_receive(const struct udp_mark *mark, int fd, struct msghdr *m, int flags)
{
	_Alignas(struct cmsghdr) char control[CONTROL_SIZE];
	struct incoming in;
	ssize_t n;

	if (memory_is_nowhere(m))
		return real_recvmsg(fd, m, flags);
	prepare(&in, mark, m, control, sizeof(control));
	n = real_recvmsg(fd, &in.header, flags);
	/* Nobody sent it: the kernel took none for want of room. By now it has read the program's
	 * buffers, which might have been anywhere. */
	if (n == 0 && in.header.msg_namelen == 0 && has_no_room(m, flags) &&
	    udp_mark_confirm(fd, mark)) {
		prepare(&in, mark, m, control, sizeof(control));
		n = real_recvmsg(fd, &in.header, give_room(&in, flags));
	}
	udp_kept_review(mark, fd);
	if (n < 0) {
		udp_mark_doubt(fd);
		return n;
	}
	if (!note(mark, &in.header, flags))
		(void)udp_mark_confirm(fd, mark);
	return (ssize_t)finish(&in, mark, m, flags, (size_t)n);
}

ssize_t udp_receive_from(const struct udp_mark *mark, int fd, void *buf, size_t n, int flags,
			 struct sockaddr *addr, socklen_t *len)
{
	struct iovec iov = { .iov_base = buf, .iov_len = n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t ret;

	/* Both take a datagram from the queue, and fail. */
	if (addr && (!len || *len > INT_MAX))
		return real_recvfrom(fd, buf, n, flags, addr, len);
	if (addr) {
		m.msg_name = addr;
		m.msg_namelen = *len;
	}
	ret = udp_receive(mark, fd, &m, flags);
	if (ret >= 0 && addr)
		*len = m.msg_namelen;
	return ret;
}

ssize_t udp_receive_vector(const struct udp_mark *mark, int fd, const struct iovec *iov, int n)
{
	struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };

	/* Without room it looks at nothing. */
	if (n <= 0 || n > IOV_MAX || !memory_is_readable(fd, iov, (size_t)n * sizeof(*iov)) ||
	    is_empty(&m))
		return real_readv(fd, iov, n);
	return udp_receive(mark, fd, &m, 0);
}

int udp_receive_length(int fd, int *ret)
{
	int saved = errno;
	char byte;
	ssize_t n = real_recv(fd, &byte, sizeof(byte), MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);

	*ret = n < 0 ? 0 : (int)n;
	errno = saved;
	return 0;
}

/* ---- recvmmsg() ---- */

static bool is_plain(const struct msghdr *m)
{
	return !(m->msg_control && m->msg_controllen) && !memory_is_nowhere(m->msg_iov) &&
	       !is_empty(m);
}

/* How many of the first go by one call: those that want data alone, or a single one. */
static unsigned batch_of(const struct mmsghdr *v, unsigned n)
{
	unsigned batch = 0;

	while (batch < n && batch < BATCH && is_plain(&v[batch].msg_hdr))
		batch++;
	return batch ? batch : 1;
}

static int receive_batch(const struct udp_mark *mark, int fd, struct mmsghdr *v, unsigned n,
			 int flags, struct timespec *timeout)
{
	_Alignas(struct cmsghdr) char control[BATCH][SMALL_CONTROL_SIZE];
	size_t size = n == 1 ? sizeof(control) : sizeof(control[0]);
	struct mmsghdr headers[BATCH];
	struct incoming in[BATCH];
	int ret, with = flags;

	_Static_assert(sizeof(control) >= CONTROL_SIZE, "for one with control messages");
	for (unsigned i = 0; i < n; i++) {
		prepare(&in[i], mark, &v[i].msg_hdr, control[i], size);
		if (n == 1 && has_no_room(&v[i].msg_hdr, flags))
			with = give_room(&in[i], flags);
		headers[i].msg_hdr = in[i].header;
	}
	/* It may wait for some of them. */
	if (n > 1 && udp_kept_any() && !(flags & (MSG_DONTWAIT | MSG_WAITFORONE)))
		udp_kept_close(mark->cookie);
	ret = real_recvmmsg(fd, headers, n, with, timeout);
	udp_kept_review(mark, fd);
	for (int i = 0; i < ret; i++) {
		in[i].header = headers[i].msg_hdr;
		(void)note(mark, &in[i].header, flags);
		v[i].msg_len =
			(unsigned)finish(&in[i], mark, &v[i].msg_hdr, flags, headers[i].msg_len);
	}
	return ret;
}

int udp_receive_many(const struct udp_mark *mark, int fd, struct mmsghdr *v, unsigned n, int flags,
		     struct timespec *timeout)
{
	unsigned done = 0;
	int saved = errno;

	if (n == 0 || memory_is_nowhere(v))
		return real_recvmmsg(fd, v, n, flags, timeout);
	while (done < n) {
		unsigned batch = batch_of(v + done, n - done);
		int ret = receive_batch(mark, fd, v + done, batch, flags, timeout);

		if (ret < 0 && done == 0)
			return ret;
		if (ret < 0) {
			errno = saved;
			break;
		}
		done += (unsigned)ret;
		if (ret == 0 || (unsigned)ret < batch)
			break;
		if (timeout && timeout->tv_sec == 0 && timeout->tv_nsec == 0)
			break;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
	}
	return (int)done;
}
