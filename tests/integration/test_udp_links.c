/* SPDX-License-Identifier: BSD-3-Clause */
/* UDP servers under the library and what is particular to links: addresses that are only good on
 * one, datagrams to everybody or a group; and others that are bound to what a client asks.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "integration/udp_asked.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/second_netns.h"

#define CLIENT_PORT 9000

static const struct guest_options under_foo = { .env = { "ISOMER_LABEL=foo" } };
static const struct guest_options alone = { .alone = true };

static int checked(int fd)
{
	assert_return_code(fd, -fd);
	return fd;
}

/* ---- two links to another host ---- */

static void ip(const char *line)
{
	CLEANUP(command_done) struct command_result r = command_run(&(struct process_options){
		.argv = (const char *const[]){ "sh", "-c", line, NULL } });

	if (r.status != 0)
		fail_msg("%s: %s", line, r.err);
}

/* The kernel's own address of a link comes later, and is not used before it is found to be unique.
 */
static void wait_for_addresses(int link)
{
	int ms = 0, status = 1;
	char line[128];

	snprintf(line, sizeof(line),
		 "test $(ip -6 -o address show dev server%d scope link -tentative | wc -l) = 2",
		 link);
	for (; status != 0 && ms < NET_TIMEOUT_MS; ms += 20) {
		CLEANUP(command_done) struct command_result r =
			command_run(&(struct process_options){
				.argv = (const char *const[]){ "sh", "-c", line, NULL } });

		status = r.status;
		poll(NULL, 0, status ? 20 : 0);
	}
	assert_int_equal(status, 0);
}

/* On both the server has fe80::a, beside one that the kernel would rather answer from, and the
 * client fe80::b. By the first goes IPv4, as 192.0.2.1 and 192.0.2.2. */
static void make_links(void **state, struct second_netns *s)
{
	char line[256];

	udp_dispatcher(state);
	loader_ok("bind", "foo", "udp", "192.0.2.0/24", "0", NULL);
	loader_ok("bind", "foo", "udp", "fe80::/64", "0", NULL);
	second_netns_make(netns_or_skip(state), s);
	for (int i = 1; i <= 2; i++) {
		snprintf(line, sizeof(line),
			 "ip link add server%d type veth peer name client%d netns %d && "
			 "ip address add fe80::a/64 dev server%d nodad && ip link set server%d up",
			 i, i, (int)s->keeper, i, i);
		ip(line);
		snprintf(line, sizeof(line),
			 "ip address add fe80::b/64 dev client%d nodad && ip link set client%d up",
			 i, i);
		THERE(s, ip(line));
		wait_for_addresses(i);
	}
	ip("ip address add 192.0.2.1/24 broadcast + dev server1");
	THERE(s, ip("ip address add 192.0.2.2/24 broadcast + dev client1 && "
		    "ip route add default dev client1"));
}

/* A client on the link number @link; IPv4 where it is 0. */
static int link_client(struct second_netns *s, unsigned link)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(CLIENT_PORT) };
	const int on = 1;
	char name[16];
	int fd = -1;

	if (link == 0) {
		THERE(s, fd = udp_bind("192.0.2.2", CLIENT_PORT));
		checked(fd);
		assert_return_code(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)),
				   errno);
		return fd;
	}
	snprintf(name, sizeof(name), "client%u", link);
	assert_int_equal(inet_pton(AF_INET6, "fe80::b", &in6.sin6_addr), 1);
	THERE(s, fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	      in6.sin6_scope_id = if_nametoindex(name));
	assert_return_code(fd, errno);
	assert_return_code(bind(fd, (struct sockaddr *)&in6, sizeof(in6)), errno);
	return fd;
}

static void link_send(int fd, const char *text, const char *to, uint16_t port)
{
	struct sockaddr_storage addr;
	socklen_t len = net_address(to, port, &addr);

	if (addr.ss_family == AF_INET6) {
		struct sockaddr_in6 own;
		socklen_t own_len = sizeof(own);

		assert_return_code(getsockname(fd, (struct sockaddr *)&own, &own_len), errno);
		((struct sockaddr_in6 *)&addr)->sin6_scope_id = own.sin6_scope_id;
	}
	assert_int_equal(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&addr, len),
			 strlen(text));
}

struct source {
	char ip[INET6_ADDRSTRLEN];
	uint16_t port;
};

/* Where the next answer comes from. */
static struct source link_gets(int fd, const char *text)
{
	struct sockaddr_storage addr = { 0 };
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&addr;
	struct sockaddr_in *in = (struct sockaddr_in *)&addr;
	socklen_t len = sizeof(addr);
	char got[16] = "";
	struct source from;

	assert_true(net_readable(fd, NET_TIMEOUT_MS));
	assert_return_code(recvfrom(fd, got, sizeof(got) - 1, 0, (struct sockaddr *)&addr, &len),
			   errno);
	assert_string_equal(got, text);
	inet_ntop(addr.ss_family,
		  addr.ss_family == AF_INET ? (void *)&in->sin_addr : (void *)&in6->sin6_addr,
		  from.ip, sizeof(from.ip));
	from.port = ntohs(in->sin_port);
	return from;
}

static void link_gets_from(int fd, const char *text, const char *ip, uint16_t port)
{
	struct source from = link_gets(fd, text);

	assert_string_equal(from.ip, ip);
	assert_int_equal(from.port, port);
}

static void link_local_client_is_answered_by_its_link(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	struct second_netns s;

	make_links(state, &s);
	p = guest_start(&under_foo, "udp_echo", "recvfrom", "sendto", "::", "7000", NULL);
	for (unsigned link = 1; link <= 2; link++) {
		CLEANUP_FD int fd = link_client(&s, link);

		link_send(fd, "text", "fe80::a", 7000);
		link_gets_from(fd, "text", "fe80::a", 7000);
		link_send(fd, "text", "fe80::a", 7001);
		link_gets_from(fd, "text", "fe80::a", 7001);
	}
	guest_said_nothing(p);
	second_netns_done(&s);
}

/* Their addresses and ports are the same. */
static void clients_on_two_links_are_two(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int first = -1, second = -1;
	struct second_netns s;

	make_links(state, &s);
	p = guest_start(&under_foo, "udp_errand", "::", "7000", NULL);
	first = link_client(&s, 1);
	second = link_client(&s, 2);
	link_send(first, "", "fe80::a", 7001);
	link_send(second, "first", "fe80::a", 7002);
	link_gets_from(first, "here", "fe80::a", 7001);
	guest_said_nothing(p);
	second_netns_done(&s);
}

/* ---- to everybody, or a group ---- */

/* IPv4 by a socket of its own: the kernel gives groups of IPv4 to none of IPv6. */
static const struct {
	const char *to, *server, *itself;
} many[] = {
	{ "192.0.2.255", "0.0.0.0", "192.0.2.1" },
	{ "255.255.255.255", "0.0.0.0", "192.0.2.1" },
	{ "224.0.0.1", "0.0.0.0", "192.0.2.1" },
	{ "ff02::1", "::", "fe80::a" },
};

#define MANY (sizeof(many) / sizeof(many[0]))

static void ask_everybody(struct second_netns *s, const struct guest_options *options,
			  const char *receive, const char *send, struct source ret[MANY])
{
	for (size_t i = 0; i < MANY; i++) {
		CLEANUP_FD int fd = link_client(s, strchr(many[i].to, ':') ? 1 : 0);
		struct process *p = guest_start(options, "udp_echo", receive, send, many[i].server,
						"7000", NULL);

		/* What it wrote before does not count any more. */
		if (!options->alone) {
			link_send(fd, "text", many[i].itself, 7001);
			link_gets_from(fd, "text", many[i].itself, 7001);
		}
		link_send(fd, "all", many[i].to, 7000);
		ret[i] = link_gets(fd, "all");
		guest_said_nothing(p);
		process_stop(p, SIGKILL);
	}
}

static void datagram_to_everybody_is_answered_as_without(void **state)
{
	static const char *const calls[][2] = { { "recvfrom", "sendto" },
						{ "recvmmsg", "sendmmsg" } };
	struct source expected[MANY], seen[MANY];
	struct second_netns s;

	make_links(state, &s);
	ask_everybody(&s, &alone, "recvfrom", "sendto", expected);
	for (size_t c = 0; c < sizeof(calls) / sizeof(calls[0]); c++) {
		ask_everybody(&s, &under_foo, calls[c][0], calls[c][1], seen);
		for (size_t i = 0; i < MANY; i++) {
			assert_string_equal(seen[i].ip, expected[i].ip);
			assert_int_equal(seen[i].port, expected[i].port);
		}
	}
	second_netns_done(&s);
}

/* ---- others that are bound to what is asked ---- */

/* Nothing can leave from there, and it leaves from nowhere else. The server hears so, and goes on.
 */
static void address_that_somebody_else_has_is_not_answered_from(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int other = -1, fd = -1;

	udp_dispatcher(state);
	p = guest_start(&under_foo, "udp_echo", "recvfrom", "sendto", "0.0.0.0", "7000", NULL);
	other = checked(udp_bind("198.51.100.5", 7001));
	fd = checked(udp_connect("198.51.100.5", 7001));
	for (int i = 1; i <= 2; i++) {
		char answered[32];

		assert_int_equal(send(fd, "text", 4, 0), 4);
		snprintf(answered, sizeof(answered), "answered %d\n", i);
		process_wait_output(p, answered);
	}
	assert_non_null(strstr(process_stderr(p), "sendto: No route to host"));
	guest_said(p, "cannot send an answer of udp 0.0.0.0:7000");
	assert_false(net_readable(fd, 0));
	assert_false(net_readable(other, 0));
	udp_ask("198.51.100.5", 7002, "text");
	udp_ask("198.51.100.6", 7001, "text");
}

static void address_that_somebody_else_shares_is(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int other = -1;

	udp_dispatcher(state);
	p = guest_start(&under_foo, "udp_echo", "recvfrom", "sendto", "0.0.0.0", "7000", NULL);
	other = checked(udp_bind_reuseaddr("198.51.100.5", 7001));
	udp_ask("198.51.100.5", 7001, "text");
	guest_said_nothing(p);
	assert_false(net_readable(other, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(link_local_client_is_answered_by_its_link),
		netns_test(clients_on_two_links_are_two),
		netns_test(datagram_to_everybody_is_answered_as_without),
		netns_test(address_that_somebody_else_has_is_not_answered_from),
		netns_test(address_that_somebody_else_shares_is),
	};

	return cmocka_run_group_tests_name("UDP on links", tests, NULL, NULL);
}
