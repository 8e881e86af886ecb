/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/udp/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench/figures.h"
#include "state/cleanup.h"
#include "support/net.h"

#define WINDOW  32
#define SOCKETS 16
#define SIZE    64

static const struct timeval patience = { .tv_sec = NET_TIMEOUT_MS / 1000 };

static _Noreturn void no_answer(const char *ip, uint16_t port)
{
	fprintf(stderr, "%s port %u: no answer from there: %s\n", ip, port, strerror(errno));
	exit(EXIT_FAILURE);
}

/* Connected, so that nothing else is received. */
static int client(const char *ip, uint16_t port)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage to;
	socklen_t len = net_address(ip, port, &to);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, len) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		figures_give_up("client");
	return fd;
}

void load_steady(const char *ip, uint16_t port, unsigned n)
{
	static char buffers[WINDOW][SIZE];
	CLEANUP_FD int fd = client(ip, port);
	struct mmsghdr messages[WINDOW];
	struct iovec iovs[WINDOW];
	unsigned sent = 0, received = 0;

	for (unsigned i = 0; i < WINDOW; i++) {
		iovs[i] = (struct iovec){ buffers[i], SIZE };
		messages[i] =
			(struct mmsghdr){ .msg_hdr = { .msg_iov = &iovs[i], .msg_iovlen = 1 } };
	}
	while (received < n) {
		unsigned room = WINDOW - (sent - received), left = n - sent;
		int r = sendmmsg(fd, messages, room < left ? room : left, 0);

		if (r < 0)
			figures_give_up("sendmmsg");
		sent += (unsigned)r;
		r = recvmmsg(fd, messages, WINDOW, MSG_WAITFORONE, NULL);
		if (r <= 0)
			no_answer(ip, port);
		received += (unsigned)r;
	}
}

void load_ports(const char *ip, uint16_t first, unsigned n)
{
	char buffer[SIZE] = { 0 };
	int fds[SOCKETS];

	for (unsigned begin = 0; begin < n; begin += SOCKETS) {
		unsigned in_turn = n - begin < SOCKETS ? n - begin : SOCKETS;

		for (unsigned i = 0; i < in_turn; i++) {
			fds[i] = client(ip, (uint16_t)(first + begin + i));
			if (send(fds[i], buffer, sizeof(buffer), 0) < 0)
				figures_give_up("send");
		}
		for (unsigned i = 0; i < in_turn; i++) {
			if (recv(fds[i], buffer, sizeof(buffer), 0) < 0)
				no_answer(ip, (uint16_t)(first + begin + i));
			close(fds[i]);
		}
	}
}
