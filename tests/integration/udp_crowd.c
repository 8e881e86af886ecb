/* SPDX-License-Identifier: BSD-3-Clause */
#include "integration/udp_crowd.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "state/cleanup.h"
#include "support/net.h"

#define BATCH 128 /* fewer than a receive buffer holds */

static void here(int fd)
{
	char text[16];

	assert_true(net_readable(fd, NET_TIMEOUT_MS));
	assert_int_equal(recv(fd, text, sizeof(text), 0), 4);
	assert_memory_equal(text, "here", 4);
}

static void batch_writes(int fd, struct sockaddr_storage *to, socklen_t len, unsigned first,
			 unsigned n)
{
	_Alignas(struct cmsghdr) char control[BATCH][CMSG_SPACE(sizeof(struct in_pktinfo))] = { 0 };
	struct mmsghdr v[BATCH] = { 0 };

	for (unsigned i = 0; i < n; i++) {
		struct in_pktinfo info = { .ipi_spec_dst.s_addr =
						   htonl(INADDR_LOOPBACK + 256 + first + i) };
		struct cmsghdr *c = (struct cmsghdr *)control[i];

		*c = (struct cmsghdr){ .cmsg_level = IPPROTO_IP,
				       .cmsg_type = IP_PKTINFO,
				       .cmsg_len = CMSG_LEN(sizeof(info)) };
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		v[i].msg_hdr = (struct msghdr){ .msg_name = to,
						.msg_namelen = len,
						.msg_control = c,
						.msg_controllen = sizeof(control[i]) };
	}
	assert_int_equal(sendmmsg(fd, v, n, 0), n);
}

void udp_crowd_writes(const char *ip, uint16_t port, unsigned first, unsigned n)
{
	struct sockaddr_storage to;
	socklen_t len = net_address(ip, port, &to);
	CLEANUP_FD int fd = udp_bind("127.0.0.1", 0);
	char errand[16];

	assert_return_code(fd, -fd);
	snprintf(errand, sizeof(errand), "%u", net_local_port(fd));
	for (unsigned done = 0; done < n; done += BATCH) {
		batch_writes(fd, &to, len, first + done, n - done < BATCH ? n - done : BATCH);
		assert_return_code(
			sendto(fd, errand, strlen(errand), 0, (struct sockaddr *)&to, len), errno);
		here(fd);
	}
}

void udp_errand_comes_from(int client, const char *ip, uint16_t port, const char *errand,
			   const char *source, uint16_t source_port)
{
	struct sockaddr_storage expected, from = { 0 };
	socklen_t expected_len = net_address(source, source_port, &expected), len = sizeof(from);
	char text[16];

	guest_send(ip, port, errand);
	assert_true(net_readable(client, NET_TIMEOUT_MS));
	assert_int_equal(recvfrom(client, text, sizeof(text), 0, (struct sockaddr *)&from, &len),
			 4);
	assert_memory_equal(text, "here", 4);
	assert_memory_equal(&from, &expected, expected_len);
}
