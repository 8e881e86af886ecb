/* SPDX-License-Identifier: BSD-3-Clause */
/* udp_control segments|much|more|ipv6 IP PORT: sends every datagram back to where it came from,
 * with control messages of its own: segments: of two bytes, which become a datagram each; much:
 * some kilobytes; more: than the kernel takes; ipv6: what IPv6 knows alone. Prints what the kernel
 * says of a datagram that it did not take.
 */
#include <netinet/udp.h>

#include "guest.h"

#define MUCH 200
#define MORE 100000

static _Alignas(struct cmsghdr) char control[MORE * CMSG_SPACE(sizeof(int))];

static size_t put(size_t at, int level, int type, const void *value, size_t size)
{
	struct cmsghdr *c = (struct cmsghdr *)(control + at);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(c), value, size);
	return at + CMSG_SPACE(size);
}

static size_t make_control(const char *kind)
{
	const uint16_t segment = 2;
	const int limit = 33;
	size_t n = 0;

	if (!strcmp(kind, "segments"))
		return put(0, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	if (!strcmp(kind, "ipv6"))
		return put(0, SOL_IPV6, IPV6_HOPLIMIT, &limit, sizeof(limit));
	for (int i = 0; i < (strcmp(kind, "much") ? MORE : MUCH); i++)
		n = put(n, SOL_IP, IP_TTL, &limit, sizeof(limit));
	return n;
}

int main(int argc, char **argv)
{
	size_t controllen;
	int fd;

	if (argc != 4)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	controllen = make_control(argv[1]);
	fd = guest_udp(argv[2], (uint16_t)strtoul(argv[3], NULL, 10));
	puts("ready");
	for (;;) {
		struct sockaddr_storage peer;
		char text[256];
		struct iovec iov = { text, sizeof(text) };
		struct msghdr m = { .msg_name = &peer,
				    .msg_namelen = sizeof(peer),
				    .msg_iov = &iov,
				    .msg_iovlen = 1 };
		ssize_t n = recvmsg(fd, &m, 0);

		if (n < 0)
			guest_die("recvmsg");
		iov.iov_len = (size_t)n;
		m.msg_control = control;
		m.msg_controllen = controllen;
		if (sendmsg(fd, &m, 0) < 0)
			printf("sendmsg: %s\n", strerrorname_np(errno));
	}
}
