/* SPDX-License-Identifier: BSD-3-Clause */
/* udp_errand IP PORT: answers when it is told to: of a datagram "first" it sends "here" to whom it
 * has the first datagram from, of "N" the same to port N of 127.0.0.1, and nothing of any other.
 * Prints "sent" behind each, and "received N" of a datagram "count": how many it has got by then.
 */
#include "guest.h"

static void run(int fd, const struct sockaddr_storage *to, socklen_t len)
{
	if (sendto(fd, "here", 4, 0, (const struct sockaddr *)to, len) < 0)
		perror("sendto");
	puts("sent");
}

int main(int argc, char **argv)
{
	struct sockaddr_storage first = { 0 }, peer, to;
	socklen_t first_len = 0, len, to_len;
	unsigned n = 0;
	int fd;

	if (argc != 3)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = guest_udp(argv[1], (uint16_t)strtoul(argv[2], NULL, 10));
	puts("ready");
	for (;;) {
		char text[16] = "";

		len = sizeof(peer);
		if (recvfrom(fd, text, sizeof(text) - 1, 0, (struct sockaddr *)&peer, &len) < 0)
			guest_die("recvfrom");
		if (n++ == 0) {
			first = peer;
			first_len = len;
		}
		if (!strcmp(text, "first")) {
			run(fd, &first, first_len);
		} else if (!strcmp(text, "count")) {
			printf("received %u\n", n);
		} else if (strtoul(text, NULL, 10)) {
			to_len = guest_address("127.0.0.1", (uint16_t)strtoul(text, NULL, 10), &to);
			run(fd, &to, to_len);
		}
	}
}
