/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/registrar_message.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "state/cleanup.h"
#include "state/label.h"

/* The most that the kernel passes at once (SCM_MAX_FD): with room for fewer it would close the rest
 * itself, and not say how many came. */
#define DESCRIPTORS_MAX 253

/* Takes the first descriptor out of the message and closes the others. Returns how many came. */
static size_t take_descriptors(struct msghdr *header, int *ret_fd)
{
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++, n++) {
			CLEANUP_FD int fd = -1;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (n == 0)
				*ret_fd = TAKE_FD(fd);
		}
	}
	return n;
}

static bool is_zero(const void *bytes, size_t n)
{
	const unsigned char *b = bytes;

	while (n > 0 && b[n - 1] == 0)
		n--;
	return n == 0;
}

int registrar_check_request(const struct isomer_registrar_request *q)
{
	bool reply_socket = q->type == ISOMER_REGISTRAR_REPLY_SOCKET;
	size_t len = strnlen(q->label, sizeof(q->label));

	if (q->magic != ISOMER_REGISTRAR_MAGIC || q->version != ISOMER_REGISTRAR_VERSION)
		return -EPROTO;
	if (q->type != ISOMER_REGISTRAR_CHECK && q->type != ISOMER_REGISTRAR_REGISTER &&
	    !reply_socket)
		return -EPROTO;
	if ((q->domain != AF_INET && q->domain != AF_INET6) ||
	    (q->protocol != IPPROTO_UDP && (q->protocol != IPPROTO_TCP || reply_socket)) ||
	    q->standby > (q->type == ISOMER_REGISTRAR_REGISTER) || q->reserved || q->reserved2)
		return -EBADMSG;
	/* All addresses at once is nothing that a client can have used. */
	if (reply_socket != !is_zero(q->addr, sizeof(q->addr)) || reply_socket != (q->port != 0) ||
	    (q->domain == AF_INET && !is_zero(q->addr + 4, sizeof(q->addr) - 4)))
		return -EBADMSG;
	if (len == sizeof(q->label) || !is_zero(q->label + len, sizeof(q->label) - len) ||
	    isomer_label_check(q->label) < 0)
		return -EBADMSG;
	return 0;
}

int registrar_receive(int connection, struct isomer_registrar_request *ret, int *ret_fd)
{
	union {
		struct cmsghdr first; /* for its alignment */
		char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = ret, .iov_len = sizeof(*ret) };
	struct msghdr header = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	CLEANUP_FD int fd = -1;
	ssize_t size;
	size_t n;

	size = recvmsg(connection, &header, MSG_CMSG_CLOEXEC);
	if (size < 0)
		return -errno;
	n = take_descriptors(&header, &fd);
	if (size == 0 && n == 0)
		return -EPIPE;
	/* Of another version, whose requests may have another size. */
	if (size >= (ssize_t)sizeof(__u64) && ret->magic == ISOMER_REGISTRAR_MAGIC &&
	    ret->version != ISOMER_REGISTRAR_VERSION)
		return -EPROTO;
	if (size != sizeof(*ret) || n != 1 || header.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return -EBADMSG;

	*ret_fd = TAKE_FD(fd);
	return registrar_check_request(ret);
}

void registrar_send(int connection, const struct isomer_registrar_reply *reply, int fd)
{
	union {
		struct cmsghdr first;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = (void *)reply, .iov_len = sizeof(*reply) };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };

	memset(&control, 0, sizeof(control));
	if (fd >= 0) {
		control.first = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		};
		memcpy(CMSG_DATA(&control.first), &fd, sizeof(fd));
		header.msg_control = &control;
		header.msg_controllen = sizeof(control);
	}
	(void)sendmsg(connection, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
}
