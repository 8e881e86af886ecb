/* SPDX-License-Identifier: BSD-3-Clause */
/* What the guests share: programs that know nothing about isomer and run under the library. They
 * check nothing themselves but print what happens; a guest that cannot do its part exits with 1.
 */
#pragma once

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* errno before each call; a call that works must leave it. */
#define GUEST_ERRNO ELOOP

static inline __attribute__((noreturn)) void guest_die(const char *what)
{
	perror(what);
	exit(1);
}

static inline void guest_check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static inline int guest_count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static inline socklen_t guest_address(const char *ip, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *in = (struct sockaddr_in *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, ip, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		return sizeof(*in);
	}
	if (inet_pton(AF_INET6, ip, &in6->sin6_addr) != 1)
		guest_die(ip);
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	return sizeof(*in6);
}

/* A bound TCP socket. */
static inline int guest_tcp(const char *ip, uint16_t port, bool reuseport)
{
	struct sockaddr_storage addr;
	socklen_t len = guest_address(ip, port, &addr);
	int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		guest_die("socket");
	if (reuseport && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
		guest_die("SO_REUSEPORT");
	if (bind(fd, (struct sockaddr *)&addr, len) < 0)
		guest_die("bind");
	return fd;
}

/* A bound UDP socket. */
static inline int guest_udp(const char *ip, uint16_t port)
{
	struct sockaddr_storage addr;
	socklen_t len = guest_address(ip, port, &addr);
	int fd = socket(addr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) < 0)
		guest_die("bind");
	return fd;
}

/* Sends one datagram back to where it came from. */
static inline void guest_echo(int fd)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	char text[256];
	ssize_t n = recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&peer, &len);

	if (n < 0)
		guest_die("recvfrom");
	if (sendto(fd, text, (size_t)n, 0, (struct sockaddr *)&peer, len) < 0)
		perror("sendto");
}

/* Greets one client with the name. */
static inline void guest_serve_one(int listener, const char *name)
{
	int fd = accept(listener, NULL, NULL);

	if (fd < 0)
		return;
	if (write(fd, name, strlen(name)) < 0)
		perror("write");
	close(fd);
}
