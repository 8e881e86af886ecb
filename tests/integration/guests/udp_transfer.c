/* SPDX-License-Identifier: BSD-3-Clause */
/* udp_transfer PORT OTHER: answers each datagram that comes to PORT from a new socket on OTHER, as
 * TFTP has it. The new one gets the number of the first, which is closed behind libc's back. Prints
 * "ready" before each.
 */
#include <fcntl.h>
#include <sys/syscall.h>

#include "guest.h"

static int bound(const char *port)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_storage addr;
	socklen_t len = guest_address("0.0.0.0", (uint16_t)strtoul(port, NULL, 10), &addr);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) < 0)
		guest_die("bind");
	return fd;
}

int main(int argc, char **argv)
{
	struct sockaddr_storage peer;
	char text[16];

	if (argc != 3)
		return 1;
	for (;;) {
		int fd = bound(argv[1]), other;
		socklen_t len = sizeof(peer);
		ssize_t n;

		puts("ready");
		fflush(stdout);
		n = recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&peer, &len);
		syscall(SYS_close, fd);
		other = bound(argv[2]);
		if (other != fd ||
		    sendto(other, text, (size_t)n, 0, (struct sockaddr *)&peer, len) != n)
			guest_die("transfer");
		close(other);
	}
}
