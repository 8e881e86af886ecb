/* SPDX-License-Identifier: BSD-3-Clause */
/* A program that knows nothing of isomer, and measures its own calls.
 *
 * usage: guest [held]
 *
 * held: has a UDP socket on CALLS_HELD_PORT all the time.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "bench/preload/calls.h"

#define BATCH 8 /* datagrams of recvmmsg() and sendmmsg() */

static int fresh = -1;                 /* the socket of calls that need a new one */
static int kept, other, unix_listener; /* listeners: registered, named by no rule, no concern */
static int pipe_ends[2], pair[2];
static int udp; /* to itself: connected to nobody, on a port of the kernel's choice */
static struct sockaddr_in udp_address;

static char byte;
static struct iovec iov = { &byte, 1 };

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void must(int result, const char *what)
{
	if (result < 0)
		die(what);
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void bind_to(int fd, uint16_t port)
{
	struct sockaddr_in address = loopback(port);

	must(bind(fd, (struct sockaddr *)&address, sizeof(address)), "bind");
}

static int new_socket(int domain, int type)
{
	int fd = socket(domain, type | SOCK_CLOEXEC, 0), on = 1;

	must(fd, "socket");
	if (domain == AF_INET)
		must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), "SO_REUSEADDR");
	return fd;
}

static int new_listener(uint16_t port)
{
	int fd = new_socket(AF_INET, SOCK_STREAM), on = 1;

	must(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), "SO_REUSEPORT");
	bind_to(fd, port);
	must(listen(fd, 8), "listen");
	return fd;
}

static void make_sockets(bool held)
{
	struct sockaddr_un_any {
		sa_family_t family;
	} autobind = { AF_UNIX };
	socklen_t len = sizeof(udp_address);

	kept = new_listener(CALLS_KEPT_PORT);
	other = new_listener(0);
	unix_listener = new_socket(AF_UNIX, SOCK_STREAM);
	must(bind(unix_listener, (struct sockaddr *)&autobind, sizeof(autobind)), "bind");
	must(pipe(pipe_ends), "pipe");
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), "socketpair");
	udp = new_socket(AF_INET, SOCK_DGRAM);
	bind_to(udp, 0);
	must(getsockname(udp, (struct sockaddr *)&udp_address, &len), "getsockname");
	if (held)
		bind_to(new_socket(AF_INET, SOCK_DGRAM), CALLS_HELD_PORT);
}

/* ---- the calls ---- */

static void make_tcp(void)
{
	fresh = new_socket(AF_INET, SOCK_STREAM);
}

static void make_bound_tcp(void)
{
	make_tcp();
	bind_to(fresh, CALLS_TCP_PORT);
}

static void make_udp(void)
{
	fresh = new_socket(AF_INET, SOCK_DGRAM);
}

static void close_fresh(void)
{
	close(fresh);
}

static void listen_fresh(void)
{
	must(listen(fresh, 8), "listen");
}

static void listen_kept(void)
{
	must(listen(kept, 8), "listen");
}

static void listen_other(void)
{
	must(listen(other, 8), "listen");
}

static void listen_unix(void)
{
	must(listen(unix_listener, 8), "listen");
}

static void bind_tcp(void)
{
	bind_to(fresh, CALLS_TCP_PORT);
}

static void bind_udp(void)
{
	bind_to(fresh, CALLS_UDP_PORT);
}

static void bind_udp_any(void)
{
	bind_to(fresh, 0);
}

static void write_and_read(void)
{
	if (write(pipe_ends[1], &byte, 1) != 1 || read(pipe_ends[0], &byte, 1) != 1)
		die("pipe");
}

static void writev_and_readv(void)
{
	if (writev(pipe_ends[1], &iov, 1) != 1 || readv(pipe_ends[0], &iov, 1) != 1)
		die("pipe");
}

static void send_and_recv(void)
{
	if (send(pair[0], &byte, 1, 0) != 1 || recv(pair[1], &byte, 1, 0) != 1)
		die("socketpair");
}

static void sendto_and_recvfrom(void)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);

	if (sendto(udp, &byte, 1, 0, (struct sockaddr *)&udp_address, sizeof(udp_address)) != 1 ||
	    recvfrom(udp, &byte, 1, 0, (struct sockaddr *)&from, &len) != 1)
		die("UDP socket");
}

static void sendmsg_and_recvmsg(void)
{
	struct sockaddr_in from;
	struct msghdr out = { &udp_address, sizeof(udp_address), &iov, 1, NULL, 0, 0 };
	struct msghdr in = { &from, sizeof(from), &iov, 1, NULL, 0, 0 };

	if (sendmsg(udp, &out, 0) != 1 || recvmsg(udp, &in, 0) != 1)
		die("UDP socket");
}

static void sendmmsg_and_recvmmsg(void)
{
	struct sockaddr_in from[BATCH];
	struct mmsghdr out[BATCH], in[BATCH];

	for (int i = 0; i < BATCH; i++) {
		out[i] = (struct mmsghdr){
			{ &udp_address, sizeof(udp_address), &iov, 1, NULL, 0, 0 }, 0
		};
		in[i] = (struct mmsghdr){ { &from[i], sizeof(from[i]), &iov, 1, NULL, 0, 0 }, 0 };
	}
	if (sendmmsg(udp, out, BATCH, 0) != BATCH || recvmmsg(udp, in, BATCH, 0, NULL) != BATCH)
		die("UDP socket");
}

static void set_and_get_option(void)
{
	int value = 1;
	socklen_t len = sizeof(value);

	must(setsockopt(other, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof(value)), "setsockopt");
	must(getsockopt(other, SOL_SOCKET, SO_KEEPALIVE, &value, &len), "getsockopt");
}

/* What has a @before is measured one by one, without that and without @after. */
static const struct {
	void (*once)(void), (*before)(void), (*after)(void);
} calls[CALLS] = {
	[CALL_LISTEN_REGISTERS] = { listen_fresh, make_bound_tcp, close_fresh },
	[CALL_LISTEN_AGAIN] = { listen_kept },
	[CALL_BIND_UDP_REGISTERS] = { bind_udp, make_udp, close_fresh },
	[CALL_LISTEN_OTHER] = { listen_other },
	[CALL_LISTEN_UNIX] = { listen_unix },
	[CALL_BIND_TCP] = { bind_tcp, make_tcp, close_fresh },
	[CALL_BIND_UDP_ANY] = { bind_udp_any, make_udp, close_fresh },
	[CALL_READ_WRITE] = { write_and_read },
	[CALL_READV_WRITEV] = { writev_and_readv },
	[CALL_RECV_SEND] = { send_and_recv },
	[CALL_RECVFROM_SENDTO] = { sendto_and_recvfrom },
	[CALL_RECVMSG_SENDMSG] = { sendmsg_and_recvmsg },
	[CALL_RECVMMSG_SENDMMSG] = { sendmmsg_and_recvmmsg },
	[CALL_SOCKOPT] = { set_and_get_option },
};

/* ---- measuring ---- */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double measure(uint32_t call, uint32_t times)
{
	double sum = 0, start;

	if (!calls[call].before) {
		start = now();
		for (uint32_t i = 0; i < times; i++)
			calls[call].once();
		return (now() - start) / times;
	}
	for (uint32_t i = 0; i < times; i++) {
		calls[call].before();
		start = now();
		calls[call].once();
		sum += now() - start;
		calls[call].after();
	}
	return sum / times;
}

int main(int argc, char **argv)
{
	struct calls_request request;

	make_sockets(argc > 1 && strcmp(argv[1], "held") == 0);
	while (recv(CALLS_FD, &request, sizeof(request), 0) == sizeof(request)) {
		struct calls_answer answer = { measure(request.call, request.times) };

		must((int)send(CALLS_FD, &answer, sizeof(answer), 0), "send");
	}
	return 0;
}
