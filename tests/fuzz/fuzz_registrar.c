/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests to the registrar: the first byte says how many descriptors come with the others. What
 * is taken is whole and means something, and no descriptor stays behind.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "loader/registrar_message.h"
#include "state/cleanup.h"
#include "state/label.h"

#define DESCRIPTORS_MAX 253 /* that the kernel passes at once */

static void send_message(int connection, const void *bytes, size_t size, size_t n)
{
	union {
		struct cmsghdr first;
		char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
	} control = { .first = { .cmsg_len = CMSG_LEN(n * sizeof(int)),
				 .cmsg_level = SOL_SOCKET,
				 .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { (void *)bytes, size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	for (size_t i = 0; i < n; i++)
		memcpy(CMSG_DATA(&control.first) + i * sizeof(int), &connection, sizeof(int));
	if (n) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(n * sizeof(int));
	}
	CHECK(sendmsg(connection, &message, 0) == (ssize_t)size);
}

static void check_request(const struct isomer_registrar_request *q, size_t size, size_t n)
{
	bool reply = q->type == ISOMER_REGISTRAR_REPLY_SOCKET;

	CHECK(size == sizeof(*q) && n == 1);
	CHECK(q->magic == ISOMER_REGISTRAR_MAGIC && q->version == ISOMER_REGISTRAR_VERSION);
	CHECK(reply || q->type == ISOMER_REGISTRAR_CHECK || q->type == ISOMER_REGISTRAR_REGISTER);
	CHECK(q->domain == AF_INET || q->domain == AF_INET6);
	CHECK(q->protocol == IPPROTO_UDP || (q->protocol == IPPROTO_TCP && !reply));
	CHECK(q->standby <= 1 && (q->port != 0) == reply);
	CHECK(memchr(q->label, '\0', sizeof(q->label)) && isomer_label_check(q->label) == 0);
}

static int lowest_free(void)
{
	CLEANUP_FD int fd = dup(STDERR_FILENO);

	CHECK(fd >= 0);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	size_t n = fuzz_byte(&in);
	struct isomer_registrar_request request;
	int before = lowest_free(), pair[2], fd = -1, r;

	n = n == 255 ? DESCRIPTORS_MAX : n % 4;
	if (in.size > 4096)
		return 0;
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	send_message(pair[0], in.data, in.size, n);
	memset(&request, 0, sizeof(request));
	r = registrar_receive(pair[1], &request, &fd);
	if (r == 0) {
		check_request(&request, in.size, n);
		CHECK(fd >= 0);
	} else {
		CHECK(r == -EPROTO || r == -EBADMSG || r == -EPIPE);
	}
	cleanup_closep(&fd);
	close(pair[0]);
	close(pair[1]);
	CHECK(lowest_free() == before);
	return 0;
}
