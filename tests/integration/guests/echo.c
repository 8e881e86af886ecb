/* SPDX-License-Identifier: BSD-3-Clause */
/* echo IP PORT [SOURCE]: a UDP server that knows nothing of the address at which it is asked:
 * prints "ready", and sends every datagram back to where it came from, from SOURCE (IPv4) if it is
 * given. An IPv6 socket serves both families.
 */
#include "guest.h"

static ssize_t answer(int fd, const struct iovec *text, struct sockaddr_storage *to, socklen_t len,
		      const char *source)
{
	struct in_pktinfo info = { .ipi_ifindex = 0 };
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(info))];
	} control = { .header = { .cmsg_level = IPPROTO_IP,
				  .cmsg_type = IP_PKTINFO,
				  .cmsg_len = CMSG_LEN(sizeof(info)) } };
	struct msghdr msg = {
		.msg_name = to, .msg_namelen = len, .msg_iov = (struct iovec *)text, .msg_iovlen = 1
	};

	if (source && inet_pton(AF_INET, source, &info.ipi_spec_dst) != 1)
		guest_die(source);
	if (source) {
		memcpy(CMSG_DATA(&control.header), &info, sizeof(info));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	return sendmsg(fd, &msg, 0);
}

int main(int argc, char **argv)
{
	struct sockaddr_storage addr;
	socklen_t len;
	int fd;

	if (argc < 3)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = guest_udp(argv[1], (uint16_t)strtoul(argv[2], NULL, 10));
	puts("ready");
	for (;;) {
		char text[256];
		struct iovec iov = { .iov_base = text };
		ssize_t n;

		len = sizeof(addr);
		n = recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&addr, &len);
		if (n < 0)
			continue;
		iov.iov_len = (size_t)n;
		if (answer(fd, &iov, &addr, len, argv[3]) < 0)
			perror("sendmsg");
	}
}
