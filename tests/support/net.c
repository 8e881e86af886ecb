/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "state/cleanup.h"
#include "support/net.h"

/* How long a connection or a datagram may take to show up at one of our sockets after the client
 * was told that it is under way. Over loopback that is microseconds; the bound only matters when
 * it went elsewhere. */
#define ARRIVAL_MS  1000
#define SOCKETS_MAX 64

socklen_t net_address(const char *ip, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	*ret = (struct sockaddr_storage){ 0 };
	if (inet_pton(AF_INET, ip, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		return sizeof(*in);
	}
	if (inet_pton(AF_INET6, ip, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		return sizeof(*in6);
	}
	return 0;
}

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* No call on a test's socket may hang; connect() heeds the time to send. */
static int set_timeouts(int fd)
{
	struct timeval tv = { .tv_sec = NET_TIMEOUT_MS / 1000,
			      .tv_usec = NET_TIMEOUT_MS % 1000 * 1000 };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0)
		return -errno;
	return 0;
}

struct bind_options {
	int type;
	bool reuseaddr; /* TCP has it anyway */
	bool reuseport;
	bool dual; /* IPv6 serves IPv4 too */
};

static int set_bind_options(int fd, int family, const struct bind_options *options)
{
	int r = 0;

	/* For UDP it would let two sockets share an address and port, which tests do not mean. */
	if (options->type == SOCK_STREAM || options->reuseaddr)
		r = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0 && options->reuseport)
		r = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (r == 0 && family == AF_INET6)
		r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !options->dual);
	return r;
}

static int bound_socket(const char *ip, uint16_t port, const struct bind_options *options)
{
	struct sockaddr_storage addr;
	socklen_t len = net_address(ip, port, &addr);
	CLEANUP_FD int fd = -1;
	int r;

	if (len == 0)
		return -EINVAL;
	fd = socket(addr.ss_family, options->type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = set_bind_options(fd, addr.ss_family, options);
	if (r < 0)
		return r;
	if (bind(fd, (struct sockaddr *)&addr, len) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int listening_socket(const char *ip, uint16_t port, const struct bind_options *options)
{
	CLEANUP_FD int fd = bound_socket(ip, port, options);

	if (fd < 0)
		return fd;
	if (listen(fd, SOMAXCONN) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int tcp_listen(const char *ip, uint16_t port)
{
	return listening_socket(ip, port, &(struct bind_options){ .type = SOCK_STREAM });
}

int tcp_listen_reuseport(const char *ip, uint16_t port)
{
	return listening_socket(ip, port,
				&(struct bind_options){ .type = SOCK_STREAM, .reuseport = true });
}

int tcp_listen_dual(uint16_t port)
{
	return listening_socket("::", port,
				&(struct bind_options){ .type = SOCK_STREAM, .dual = true });
}

int udp_bind(const char *ip, uint16_t port)
{
	return bound_socket(ip, port, &(struct bind_options){ .type = SOCK_DGRAM });
}

int udp_bind_reuseaddr(const char *ip, uint16_t port)
{
	return bound_socket(ip, port,
			    &(struct bind_options){ .type = SOCK_DGRAM, .reuseaddr = true });
}

int udp_bind_dual(uint16_t port)
{
	return bound_socket("::", port, &(struct bind_options){ .type = SOCK_DGRAM, .dual = true });
}

static uint16_t port_of(const struct sockaddr_storage *addr)
{
	if (addr->ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)addr)->sin6_port);
	return ntohs(((const struct sockaddr_in *)addr)->sin_port);
}

uint16_t net_local_port(int fd)
{
	struct sockaddr_storage addr = { 0 };
	socklen_t len = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return 0;
	return port_of(&addr);
}

uint64_t net_cookie(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0)
		return 0;
	return cookie;
}

static int connected_socket(int type, const char *ip, uint16_t port)
{
	struct sockaddr_storage addr;
	socklen_t len = net_address(ip, port, &addr);
	CLEANUP_FD int fd = -1;
	int r;

	if (len == 0)
		return -EINVAL;
	fd = socket(addr.ss_family, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = set_timeouts(fd);
	if (r < 0)
		return r;
	if (connect(fd, (struct sockaddr *)&addr, len) < 0)
		return errno == EINPROGRESS ? -ETIMEDOUT : -errno;
	return TAKE_FD(fd);
}

int tcp_connect(const char *ip, uint16_t port)
{
	return connected_socket(SOCK_STREAM, ip, port);
}

bool net_readable(int fd, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, timeout_ms) == 1 && (pfd.revents & POLLIN);
}

int tcp_accept(int listener)
{
	CLEANUP_FD int fd = -1;
	int r;

	if (!net_readable(listener, NET_TIMEOUT_MS))
		return -ETIMEDOUT;
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = set_timeouts(fd);
	if (r < 0)
		return r;
	return TAKE_FD(fd);
}

/* Accepts and closes the oldest connection that waits on @listener. Is it the one of the client
 * with the local port @port? */
static bool accept_is_from(int listener, uint16_t port)
{
	struct sockaddr_storage peer = { 0 };
	socklen_t len = sizeof(peer);
	CLEANUP_FD int fd = accept4(listener, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC);

	return fd >= 0 && port_of(&peer) == port;
}

/* Reads a datagram from @fd. Is it the one that carries @nonce? */
static bool datagram_has(int fd, uint64_t nonce)
{
	uint64_t got = 0;

	return recv(fd, &got, sizeof(got), MSG_DONTWAIT) == sizeof(got) && got == nonce;
}

int tcp_who_accepts(const char *ip, uint16_t port, const int *listeners, size_t n)
{
	CLEANUP_FD int client = tcp_connect(ip, port);
	struct pollfd pfds[SOCKETS_MAX];

	if (client < 0)
		return client;
	if (n > SOCKETS_MAX)
		return -E2BIG;
	for (size_t i = 0; i < n; i++)
		pfds[i] = (struct pollfd){ .fd = listeners[i], .events = POLLIN };
	while (poll(pfds, n, ARRIVAL_MS) > 0) {
		for (size_t i = 0; i < n; i++) {
			if (!(pfds[i].revents & POLLIN))
				pfds[i].fd = pfds[i].revents ? -1 : pfds[i].fd;
			else if (accept_is_from(listeners[i], net_local_port(client)))
				return (int)i;
		}
	}
	return -ENOENT;
}

/* Which of the @n sockets in @pfds receives @nonce? The client of it is behind them. */
static int wait_for_datagram(struct pollfd *pfds, size_t n, uint64_t nonce)
{
	while (poll(pfds, n + 1, ARRIVAL_MS) > 0) {
		for (size_t i = 0; i < n; i++) {
			if ((pfds[i].revents & POLLIN) && datagram_has(pfds[i].fd, nonce))
				return (int)i;
			if (pfds[i].revents & ~POLLIN)
				pfds[i].fd = -1;
		}
		if (pfds[n].revents & POLLERR) {
			int error = 0;
			socklen_t len = sizeof(error);

			getsockopt(pfds[n].fd, SOL_SOCKET, SO_ERROR, &error, &len);
			return error ? -error : -EIO;
		}
	}
	return -ENOENT;
}

int udp_who_receives(const char *ip, uint16_t port, const int *sockets, size_t n)
{
	/* Connected, so that a refusal is told to it. */
	CLEANUP_FD int client = connected_socket(SOCK_DGRAM, ip, port);
	struct pollfd pfds[SOCKETS_MAX + 1];
	uint64_t nonce;

	if (client < 0)
		return client;
	if (n > SOCKETS_MAX)
		return -E2BIG;
	nonce = net_cookie(client);
	if (send(client, &nonce, sizeof(nonce), 0) < 0)
		return -errno;
	for (size_t i = 0; i < n; i++)
		pfds[i] = (struct pollfd){ .fd = sockets[i], .events = POLLIN };
	pfds[n] = (struct pollfd){ .fd = client };
	return wait_for_datagram(pfds, n, nonce);
}

static int send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

		if (sent < 0)
			return -errno;
		data += sent;
		len -= (size_t)sent;
	}
	return 0;
}

int tcp_exchange(const char *ip, uint16_t port, const char *send, char *ret, size_t size)
{
	CLEANUP_FD int fd = tcp_connect(ip, port);
	size_t used = 0;
	int r;

	if (fd < 0)
		return fd;
	r = send ? send_all(fd, send, strlen(send)) : 0;
	while (r == 0 && used < size - 1) {
		ssize_t got = recv(fd, ret + used, size - 1 - used, 0);

		if (got < 0)
			r = errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (got <= 0)
			break;
		used += (size_t)got;
	}
	ret[used] = '\0';
	return r < 0 ? r : (int)used;
}

int udp_connect(const char *ip, uint16_t port)
{
	CLEANUP_FD int fd = udp_bind(strchr(ip, ':') ? "::1" : "127.0.0.1", 0);
	struct sockaddr_storage addr;
	socklen_t len = net_address(ip, port, &addr);
	int r;

	if (fd < 0)
		return fd;
	r = set_timeouts(fd);
	if (r < 0)
		return r;
	if (connect(fd, (struct sockaddr *)&addr, len) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int udp_exchange(const char *ip, uint16_t port, const char *text, char *ret, size_t size)
{
	CLEANUP_FD int fd = udp_connect(ip, port);
	ssize_t got;

	if (fd < 0)
		return fd;
	if (send(fd, text, strlen(text), 0) < 0)
		return -errno;
	got = recv(fd, ret, size - 1, 0);
	if (got < 0)
		return -errno;
	ret[got] = '\0';
	return (int)got;
}
