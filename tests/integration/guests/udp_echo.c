/* SPDX-License-Identifier: BSD-3-Clause */
/* udp_echo RECEIVE SEND IP PORT [moved]: a UDP server that knows nothing of the address at which it
 * is asked: prints "ready", and sends every datagram back to where it came from, by the calls
 * named. An IPv6 socket serves both families.
 *
 * moved: the socket gets another descriptor first.
 *
 * RECEIVE and SEND are recvfrom, recvmsg, recvmmsg, and sendto, sendmsg, sendmmsg; or recv, read,
 * readv, and send, write, writev, for which the socket is connected to the client meanwhile. Prints
 * "answered N" when it is done with N.
 */
#include <sys/uio.h>

#include "guest.h"

#define BATCH    4
#define MOVED_FD 77

struct datagram {
	char text[256];
	struct sockaddr_storage peer;
	socklen_t len;
	struct iovec iov;
};

static struct datagram datagrams[BATCH];
static struct mmsghdr headers[BATCH];

static void reset(void)
{
	for (size_t i = 0; i < BATCH; i++) {
		struct datagram *d = &datagrams[i];

		d->iov = (struct iovec){ .iov_base = d->text, .iov_len = sizeof(d->text) };
		headers[i].msg_hdr = (struct msghdr){ .msg_name = &d->peer,
						      .msg_namelen = sizeof(d->peer),
						      .msg_iov = &d->iov,
						      .msg_iovlen = 1 };
	}
}

static void connect_to_peer(int fd)
{
	struct datagram *d = &datagrams[0];

	d->len = sizeof(d->peer);
	if (recvfrom(fd, d->text, 0, MSG_PEEK, (struct sockaddr *)&d->peer, &d->len) < 0 ||
	    connect(fd, (struct sockaddr *)&d->peer, d->len) < 0)
		guest_die("connect");
}

static void disconnect(int fd)
{
	struct sockaddr nobody = { .sa_family = AF_UNSPEC };

	if (connect(fd, &nobody, sizeof(nobody)) < 0)
		guest_die("disconnect");
}

/* Returns how many, with their lengths in the iovecs. */
static int receive(const char *call, int fd)
{
	struct datagram *d = &datagrams[0];
	ssize_t n;
	int many;

	if (!strcmp(call, "recvmmsg")) {
		many = recvmmsg(fd, headers, BATCH, MSG_WAITFORONE, NULL);
		for (int i = 0; i < many; i++)
			datagrams[i].iov.iov_len = headers[i].msg_len;
		return many;
	}
	d->len = sizeof(d->peer);
	if (!strcmp(call, "recvmsg")) {
		n = recvmsg(fd, &headers[0].msg_hdr, 0);
	} else if (!strcmp(call, "recvfrom")) {
		n = recvfrom(fd, d->text, sizeof(d->text), 0, (struct sockaddr *)&d->peer, &d->len);
		headers[0].msg_hdr.msg_namelen = d->len;
	} else {
		connect_to_peer(fd);
		if (!strcmp(call, "recv"))
			n = recv(fd, d->text, sizeof(d->text), 0);
		else if (!strcmp(call, "read"))
			n = read(fd, d->text, sizeof(d->text));
		else
			n = readv(fd, &d->iov, 1);
	}
	d->iov.iov_len = (size_t)n;
	return n < 0 ? -1 : 1;
}

static ssize_t send_one(const char *call, int fd)
{
	const struct datagram *d = &datagrams[0];
	const struct msghdr *m = &headers[0].msg_hdr;

	if (!strcmp(call, "sendto"))
		return sendto(fd, d->text, d->iov.iov_len, 0, m->msg_name, m->msg_namelen);
	if (!strcmp(call, "sendmsg"))
		return sendmsg(fd, m, 0);
	if (!strcmp(call, "send"))
		return send(fd, d->text, d->iov.iov_len, 0);
	if (!strcmp(call, "write"))
		return write(fd, d->text, d->iov.iov_len);
	return writev(fd, &d->iov, 1);
}

static void answer(const char *call, int fd, int n)
{
	if (!strcmp(call, "sendmmsg")) {
		if (sendmmsg(fd, headers, (unsigned)n, 0) != n)
			perror(call);
	} else if (send_one(call, fd) < 0) {
		perror(call);
	}
}

int main(int argc, char **argv)
{
	unsigned answered = 0;
	bool connected;
	int fd;

	if (argc < 5)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	connected = strncmp(argv[1], "recvfrom", 8) != 0 && strncmp(argv[1], "recvm", 5) != 0;
	fd = guest_udp(argv[3], (uint16_t)strtoul(argv[4], NULL, 10));
	if (argv[5] && dup2(fd, MOVED_FD) == MOVED_FD) {
		close(fd);
		fd = MOVED_FD;
	}
	puts("ready");
	for (;;) {
		int n;

		reset();
		n = receive(argv[1], fd);
		if (n < 0)
			guest_die(argv[1]);
		answer(argv[2], fd, n);
		if (connected)
			disconnect(fd);
		printf("answered %u\n", answered += (unsigned)n);
	}
}
