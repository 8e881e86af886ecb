/* SPDX-License-Identifier: BSD-3-Clause */
/* A UDP echo server that knows nothing of isomer, in one of the ways to write one.
 *
 * usage: server one|many [pktinfo] PORT
 *
 * one: recvfrom() and sendto(); many: recvmmsg() and sendmmsg(). pktinfo: it sees to it itself that
 * an answer leaves from the address that was asked.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH 32
#define SIZE  2048

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void answer_one(int fd)
{
	static char buffer[SIZE];
	struct sockaddr_in peer;

	for (;;) {
		socklen_t len = sizeof(peer);
		ssize_t n = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&peer, &len);

		if (n < 0 || sendto(fd, buffer, (size_t)n, 0, (struct sockaddr *)&peer, len) < 0)
			die("recvfrom, sendto");
	}
}

/* What came by IP_PKTINFO, as it has to be for the answer. */
static void turn_round(struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	struct in_pktinfo info;

	memcpy(&info, CMSG_DATA(c), sizeof(info));
	info.ipi_ifindex = 0;
	info.ipi_spec_dst = info.ipi_addr;
	memcpy(CMSG_DATA(c), &info, sizeof(info));
}

static void answer_one_by_pktinfo(int fd)
{
	static char buffer[SIZE];
	char control[CMSG_SPACE(sizeof(struct in_pktinfo))];
	struct sockaddr_in peer;
	struct iovec iov;

	for (;;) {
		struct msghdr m = { &peer, sizeof(peer), &iov, 1, control, sizeof(control), 0 };
		ssize_t n;

		iov = (struct iovec){ buffer, sizeof(buffer) };
		n = recvmsg(fd, &m, 0);
		if (n < 0)
			die("recvmsg");
		iov.iov_len = (size_t)n;
		turn_round(&m);
		if (sendmsg(fd, &m, 0) < 0)
			die("sendmsg");
	}
}

static void answer_many(int fd, bool pktinfo)
{
	static char buffers[BATCH][SIZE], control[BATCH][CMSG_SPACE(sizeof(struct in_pktinfo))];
	static struct sockaddr_in peers[BATCH];
	static struct iovec iovs[BATCH];
	static struct mmsghdr m[BATCH];

	for (;;) {
		int n;

		for (int i = 0; i < BATCH; i++) {
			iovs[i] = (struct iovec){ buffers[i], SIZE };
			m[i].msg_hdr =
				(struct msghdr){ &peers[i], sizeof(peers[i]), &iovs[i], 1, NULL, 0,
						 0 };
			if (pktinfo) {
				m[i].msg_hdr.msg_control = control[i];
				m[i].msg_hdr.msg_controllen = sizeof(control[i]);
			}
		}
		n = recvmmsg(fd, m, BATCH, MSG_WAITFORONE, NULL);
		if (n < 0)
			die("recvmmsg");
		for (int i = 0; i < n; i++) {
			iovs[i].iov_len = m[i].msg_len;
			if (pktinfo)
				turn_round(&m[i].msg_hdr);
		}
		if (sendmmsg(fd, m, (unsigned)n, 0) != n)
			die("sendmmsg");
	}
}

int main(int argc, char **argv)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
	bool many = argc > 2 && strcmp(argv[1], "many") == 0;
	bool pktinfo = argc > 3 && strcmp(argv[2], "pktinfo") == 0;
	struct sockaddr_in address = { .sin_family = AF_INET };

	address.sin_port = htons((uint16_t)strtoul(argv[argc - 1], NULL, 10));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    (pktinfo && setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) < 0))
		die("socket");
	printf("ready\n");
	fflush(stdout);
	if (many)
		answer_many(fd, pktinfo);
	else if (pktinfo)
		answer_one_by_pktinfo(fd);
	else
		answer_one(fd);
	return 1;
}
