/* SPDX-License-Identifier: BSD-3-Clause */
/* What a socket is, before it is put into a slot. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

#include "state/cleanup.h"
#include "state/socket.h"
#include "support/net.h"
#include "support/netns.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define LEN(array) (sizeof(array) / sizeof(*(array)))

#define IP "127.0.0.1"

/* Inspects @fd, closes it, and expects @error, 0 for none. */
static void inspects_as(int fd, int error)
{
	struct isomer_socket s = { .port = 4711 };
	int r;

	assert_return_code(fd, errno);
	r = isomer_socket_inspect(fd, &s);
	close(fd);
	if (r != -error)
		fail_msg("inspected as '%s', should be '%s'", strerror(-r), strerror(error));
	if (error)
		assert_int_equal(s.port, 4711);
}

static int bound(int type, int protocol)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(IP) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, protocol);

	assert_return_code(fd, errno);
	assert_return_code(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), errno);
	return fd;
}

static void what_is_no_tcp_or_udp_socket_is_told(void **state)
{
	struct isomer_socket s;

	(void)netns_or_skip(state);
	assert_int_equal(isomer_socket_inspect(-1, &s), -EBADF);
	inspects_as(open("/dev/null", O_RDONLY | O_CLOEXEC), ENOTSOCK);
	inspects_as(epoll_create1(EPOLL_CLOEXEC), ENOTSOCK);
	inspects_as(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), EAFNOSUPPORT);
	inspects_as(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0), EAFNOSUPPORT);
	inspects_as(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP), EPROTONOSUPPORT);
	inspects_as(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP), EPROTONOSUPPORT);
	inspects_as(socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP), EPROTONOSUPPORT);
}

static void tcp_that_does_not_listen_is_told(void **state)
{
	CLEANUP_FD int a = -1;
	int fd;

	(void)netns_or_skip(state);
	inspects_as(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), EINVAL);
	inspects_as(bound(SOCK_STREAM, 0), EINVAL);
	a = tcp_listen(IP, 0);
	assert_return_code(a, -a);
	fd = tcp_connect(IP, net_local_port(a));
	assert_return_code(fd, -fd);
	inspects_as(fd, EINVAL);
	fd = tcp_accept(a);
	assert_return_code(fd, -fd);
	inspects_as(fd, EINVAL);
	inspects_as(fcntl(a, F_DUPFD_CLOEXEC, 3), 0);
	assert_return_code(shutdown(a, SHUT_RD), errno);
	inspects_as(fcntl(a, F_DUPFD_CLOEXEC, 3), EINVAL);
	assert_return_code(listen(a, 1), errno);
	inspects_as(TAKE_FD(a), 0);
}

static void udp_that_is_unbound_or_connected_is_told(void **state)
{
	const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };
	CLEANUP_FD int a = -1;
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(IP) };

	(void)netns_or_skip(state);
	inspects_as(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), EINVAL);
	inspects_as(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), EINVAL);
	a = udp_bind(IP, 8053); /* a port of the kernel's choice would go with the connection */
	inspects_as(fcntl(a, F_DUPFD_CLOEXEC, 3), 0);
	addr.sin_port = htons(53);
	assert_return_code(connect(a, (struct sockaddr *)&addr, sizeof(addr)), errno);
	inspects_as(fcntl(a, F_DUPFD_CLOEXEC, 3), EISCONN);
	assert_return_code(connect(a, &nowhere, sizeof(nowhere)), errno);
	inspects_as(TAKE_FD(a), 0);
}

static void mptcp_is_told(void **state)
{
	int fd;

	(void)netns_or_skip(state);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
	if (fd < 0) {
		print_message("not tried: this kernel has no MPTCP: %s\n", strerror(errno));
		return;
	}
	inspects_as(fd, EMEDIUMTYPE);
	fd = bound(SOCK_STREAM, IPPROTO_MPTCP);
	assert_return_code(listen(fd, 1), errno);
	inspects_as(fd, EMEDIUMTYPE);
}

/* Before it can be registered, too. */
static void a_socket_is_looked_at_in_any_state(void **state)
{
	struct isomer_socket s = { .port = 4711 };
	CLEANUP_FD int tcp = -1, other = -1;
	bool mptcp = true;

	(void)netns_or_skip(state);
	tcp = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(isomer_socket_look(other, &s, &mptcp), -EAFNOSUPPORT);
	assert_int_equal(s.port, 4711);
	assert_int_equal(isomer_socket_look(tcp, &s, &mptcp), 0);
	assert_int_equal(s.protocol, IPPROTO_TCP);
	assert_int_equal(s.port, 0);
	assert_int_equal(s.cookie, net_cookie(tcp));
	assert_true(s.ipv4 && s.ipv6);
	assert_false(mptcp);
}

enum { IPV4 = 1, IPV6 = 2, BOTH = IPV4 | IPV6 };

/* A socket on an IPv6 address, "v6only" or not. */
static int ipv6_socket(int type, const char *ip, int v6only)
{
	struct sockaddr_storage addr;
	socklen_t len = net_address(ip, 0, &addr);
	int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);

	assert_return_code(fd, errno);
	assert_return_code(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)),
			   errno);
	assert_return_code(bind(fd, (struct sockaddr *)&addr, len), errno);
	if (type == SOCK_STREAM)
		assert_return_code(listen(fd, 1), errno);
	return fd;
}

static void serves(int fd, uint8_t protocol, int domains)
{
	struct isomer_socket s;

	assert_return_code(fd, -fd);
	assert_int_equal(isomer_socket_inspect(fd, &s), 0);
	assert_int_equal(s.protocol, protocol);
	assert_int_equal((s.ipv4 ? IPV4 : 0) | (s.ipv6 ? IPV6 : 0), domains);
	assert_int_not_equal(s.port, 0);
	assert_int_equal(s.port, net_local_port(fd));
	assert_int_not_equal(s.cookie, 0);
	assert_int_equal(s.cookie, net_cookie(fd));
	close(fd);
}

static void sockets_serve_the_families_that_the_kernel_sends_them(void **state)
{
	(void)netns_or_skip(state);
	serves(tcp_listen(IP, 0), IPPROTO_TCP, IPV4);
	serves(tcp_listen("0.0.0.0", 0), IPPROTO_TCP, IPV4);
	serves(udp_bind(IP, 0), IPPROTO_UDP, IPV4);
	for (int i = 0; i < 2; i++) {
		int type = i ? SOCK_DGRAM : SOCK_STREAM;
		uint8_t protocol = i ? IPPROTO_UDP : IPPROTO_TCP;

		serves(ipv6_socket(type, "::", 1), protocol, IPV6);
		serves(ipv6_socket(type, "::", 0), protocol, BOTH);
		serves(ipv6_socket(type, "::1", 1), protocol, IPV6);
		serves(ipv6_socket(type, "::1", 0), protocol, IPV6);
		serves(ipv6_socket(type, "::ffff:127.0.0.1", 0), protocol, IPV4);
	}
}

/* Of a socket that is about to be bound: the kernel would say so only afterwards. */
static void an_address_tells_the_families_that_it_will_serve(void **state)
{
	static const struct {
		const char *ip;
		bool v6only;
		int domains;
	} cases[] = {
		{ IP, false, IPV4 },
		{ "0.0.0.0", true, IPV4 },
		{ "::", false, BOTH },
		{ "::", true, IPV6 },
		{ "::1", false, IPV6 },
		{ "2001:db8::1", true, IPV6 },
		{ "::ffff:127.0.0.1", false, IPV4 },
	};

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		struct isomer_socket s = { .protocol = IPPROTO_TCP };
		struct sockaddr_storage addr;
		socklen_t len = net_address(cases[i].ip, 8080, &addr);

		isomer_socket_set_local(&s, (struct sockaddr *)&addr, len, cases[i].v6only);
		assert_int_equal((s.ipv4 ? IPV4 : 0) | (s.ipv6 ? IPV6 : 0), cases[i].domains);
		assert_int_equal(s.port, 8080);
	}
}

static bool same(int a, int b)
{
	struct isomer_socket x, y;

	assert_int_equal(isomer_socket_inspect(a, &x), 0);
	assert_int_equal(isomer_socket_inspect(b, &y), 0);
	assert_int_equal(isomer_socket_same_address(&x, &y), isomer_socket_same_address(&y, &x));
	return isomer_socket_same_address(&x, &y);
}

static void addresses_are_compared_with_port_protocol_and_family(void **state)
{
	CLEANUP_FD int a = -1, worker = -1, ip = -1, port = -1, udp = -1, v6 = -1, any6 = -1;

	(void)netns_or_skip(state);
	a = tcp_listen_reuseport(IP, 8080);
	worker = tcp_listen_reuseport(IP, 8080);
	ip = tcp_listen("127.0.0.2", 8080);
	port = tcp_listen(IP, 8081);
	udp = udp_bind(IP, 8080);
	v6 = tcp_listen("::1", 8080);
	any6 = tcp_listen("::", 8082);
	assert_true(same(a, a));
	assert_true(same(a, worker));
	assert_true(same(v6, v6));
	assert_false(same(a, ip));
	assert_false(same(a, port));
	assert_false(same(a, udp));
	assert_false(same(a, v6));
	assert_false(same(v6, any6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(what_is_no_tcp_or_udp_socket_is_told),
		netns_test(tcp_that_does_not_listen_is_told),
		netns_test(udp_that_is_unbound_or_connected_is_told),
		netns_test(mptcp_is_told),
		netns_test(a_socket_is_looked_at_in_any_state),
		netns_test(sockets_serve_the_families_that_the_kernel_sends_them),
		cmocka_unit_test(an_address_tells_the_families_that_it_will_serve),
		netns_test(addresses_are_compared_with_port_protocol_and_family),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
