/* SPDX-License-Identifier: BSD-3-Clause */
/* A server that looks whether a call that worked has left everything as it was.
 *
 * usage: carries_on tcp|udp
 *
 * Between two calls of getppid() it does what the library stands in front of. Exit status 0 if it
 * finds nothing wrong.
 */
#include <signal.h>
#include <sys/syscall.h>

#include "guest.h"

int main(int argc, char **argv)
{
	int udp = argc > 1 && !strcmp(argv[1], "udp"), before, r, other = -1;
	int fd = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(1001) };
	struct timeval limit = { .tv_sec = 5 };
	int yes = 1;
	sigset_t mask, mask_before;
	char byte = 0;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	guest_check(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0,
		    "SO_RCVTIMEO");
	guest_check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0,
		    "SO_REUSEADDR");
	if (!udp)
		guest_check(bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0, "bind");
	sigprocmask(SIG_BLOCK, NULL, &mask_before);
	before = guest_count_descriptors();

	errno = ENOTTY;
	syscall(SYS_getppid);
	r = udp ? bind(fd, (struct sockaddr *)&addr, sizeof(addr)) : listen(fd, 5);
	syscall(SYS_getppid);

	guest_check(r == 0, "the call failed");
	guest_check(errno == ENOTTY, "errno is another");
	guest_check(guest_count_descriptors() == before, "a descriptor was left open");
	sigprocmask(SIG_BLOCK, NULL, &mask);
	guest_check(!memcmp(&mask, &mask_before, sizeof(mask)), "signals are blocked");

	other = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
	guest_check(connect(other, (struct sockaddr *)&addr, sizeof(addr)) == 0, "connect");
	if (udp)
		guest_check(send(other, "x", 1, 0) == 1 && recv(fd, &byte, 1, 0) == 1,
			    "no datagram");
	else
		guest_check(accept(fd, NULL, NULL) >= 0, "no connection");
	return 0;
}
