/* SPDX-License-Identifier: BSD-3-Clause */
/* udp_fortified recv|recvfrom|read IP PORT: a UDP server built with _FORTIFY_SOURCE: it sends every
 * datagram back to where it came from. Of a datagram "more" it asks for more than it has room for
 * next time.
 */
#include "guest.h"

/* Not known to the compiler, which would not ask for a check else. */
static volatile size_t size = 16;

static ssize_t receive(const char *call, int fd, char text[16], struct sockaddr_storage *peer,
		       socklen_t *len)
{
	char own[16];
	ssize_t n;

	if (!strcmp(call, "recvfrom")) {
		n = recvfrom(fd, own, size, 0, (struct sockaddr *)peer, len);
	} else {
		if (recvfrom(fd, own, 0, MSG_PEEK, (struct sockaddr *)peer, len) < 0)
			guest_die("peek");
		n = strcmp(call, "read") ? recv(fd, own, size, 0) : read(fd, own, size);
	}
	memcpy(text, own, sizeof(own));
	return n;
}

int main(int argc, char **argv)
{
	int fd;

	if (argc != 4)
		return 1;
	fd = guest_udp(argv[2], (uint16_t)strtoul(argv[3], NULL, 10));
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		char text[16];
		ssize_t n = receive(argv[1], fd, text, &peer, &len);

		if (n < 0)
			guest_die(argv[1]);
		if (sendto(fd, text, (size_t)n, 0, (struct sockaddr *)&peer, len) < 0)
			perror("sendto");
		if (n == 4 && !memcmp(text, "more", 4))
			size = 17;
	}
}
