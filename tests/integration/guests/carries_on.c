/* SPDX-License-Identifier: BSD-3-Clause */
/* A server that looks whether a call that worked has left everything as it was.
 *
 * usage: carries_on tcp|udp
 *
 * Between two calls of getppid() it does what the library stands in front of. Exit status 0 if it
 * finds nothing wrong.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void check(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "%s\n", what);
	exit(1);
}

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
	check(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0, "SO_RCVTIMEO");
	check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0, "SO_REUSEADDR");
	if (!udp)
		check(bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0, "bind");
	sigprocmask(SIG_BLOCK, NULL, &mask_before);
	before = count_descriptors();

	errno = ENOTTY;
	syscall(SYS_getppid);
	r = udp ? bind(fd, (struct sockaddr *)&addr, sizeof(addr)) : listen(fd, 5);
	syscall(SYS_getppid);

	check(r == 0, "the call failed");
	check(errno == ENOTTY, "errno is another");
	check(count_descriptors() == before, "a descriptor was left open");
	sigprocmask(SIG_BLOCK, NULL, &mask);
	check(!memcmp(&mask, &mask_before, sizeof(mask)), "signals are blocked");

	other = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
	check(connect(other, (struct sockaddr *)&addr, sizeof(addr)) == 0, "connect");
	if (udp)
		check(send(other, "x", 1, 0) == 1 && recv(fd, &byte, 1, 0) == 1, "no datagram");
	else
		check(accept(fd, NULL, NULL) >= 0, "no connection");
	return 0;
}
