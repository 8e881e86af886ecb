/* SPDX-License-Identifier: BSD-3-Clause */
/* An echo server for TCP and UDP, as plain as one can be: it has no code for isomer, nor for
 * answering from the address and port that a datagram was sent to.
 *
 * usage: echo ADDRESS PORT
 *
 *   sudo isomer-loader bind echo tcp 192.0.2.0/24 0
 *   sudo isomer-loader bind echo udp 192.0.2.0/24 0
 *   sudo isomer-loader grant echo $USER
 *   LD_PRELOAD=libisomer_preload.so ISOMER_LABEL=echo ./echo 0.0.0.0 7777
 */
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static int bound_socket(const struct addrinfo *address)
{
	int fd = socket(address->ai_family, address->ai_socktype, 0), on = 1;

	if (fd < 0)
		die("socket");
	/* For TCP: a server that starts again need not wait for old connections. */
	if (address->ai_socktype == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, address->ai_addr, address->ai_addrlen) < 0)
		die("bind");
	return fd;
}

static int server_socket(const char *host, const char *port, int type)
{
	struct addrinfo hints = { .ai_socktype = type, .ai_flags = AI_NUMERICHOST | AI_PASSIVE };
	struct addrinfo *address;
	int r = getaddrinfo(host, port, &hints, &address), fd;

	if (r != 0) {
		fprintf(stderr, "%s %s: %s\n", host, port, gai_strerror(r));
		exit(EXIT_FAILURE);
	}
	fd = bound_socket(address);
	freeaddrinfo(address);
	if (type == SOCK_STREAM && listen(fd, SOMAXCONN) < 0)
		die("listen");
	return fd;
}

static int echo_connection(int fd)
{
	char buffer[4096];
	ssize_t n, written;

	while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
		for (ssize_t done = 0; done < n; done += written) {
			written = write(fd, buffer + done, (size_t)(n - done));
			if (written < 0)
				return EXIT_FAILURE;
		}
	}
	return n < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Each connection is a process of its own, so that none waits for another; without the sockets of
 * the server, which would go on living with it. */
static void serve_connection(int listener, int udp)
{
	int fd = accept(listener, NULL, NULL);

	if (fd < 0)
		return;
	if (fork() == 0) {
		close(listener);
		close(udp);
		_exit(echo_connection(fd));
	}
	close(fd);
}

static void serve_datagram(int fd)
{
	static char buffer[65536];
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	ssize_t n = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&peer, &len);

	if (n >= 0 && sendto(fd, buffer, (size_t)n, 0, (struct sockaddr *)&peer, len) < 0)
		perror("sendto");
}

int main(int argc, char **argv)
{
	struct pollfd fds[2];

	if (argc != 3) {
		fprintf(stderr, "usage: echo ADDRESS PORT\n");
		return 2;
	}
	signal(SIGCHLD, SIG_IGN);
	fds[0] = (struct pollfd){ server_socket(argv[1], argv[2], SOCK_STREAM), POLLIN, 0 };
	fds[1] = (struct pollfd){ server_socket(argv[1], argv[2], SOCK_DGRAM), POLLIN, 0 };
	printf("ready\n");
	fflush(stdout);
	while (poll(fds, 2, -1) >= 0) {
		if (fds[0].revents)
			serve_connection(fds[0].fd, fds[1].fd);
		if (fds[1].revents)
			serve_datagram(fds[1].fd);
	}
	die("poll");
}
