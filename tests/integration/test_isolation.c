/* SPDX-License-Identifier: BSD-3-Clause */
/* What a binding must not touch: the other family, the other protocol, other namespaces. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"
#include "support/process.h"
#include "support/second_netns.h"
#include "support/state_checker.h"

#define LEN(array) (sizeof(array) / sizeof(*(array)))

/* ---- families and protocols ---- */

/* Plain servers that know nothing of isomer: one of each family and protocol. */
struct servers {
	int tcp4, tcp6, udp4, udp6;
};

static struct servers servers_make(uint16_t port)
{
	struct servers s = {
		.tcp4 = tcp_listen("0.0.0.0", port),
		.tcp6 = tcp_listen("::", port),
		.udp4 = udp_bind("0.0.0.0", port),
		.udp6 = udp_bind("::", port),
	};

	assert_true(s.tcp4 >= 0 && s.tcp6 >= 0 && s.udp4 >= 0 && s.udp6 >= 0);
	return s;
}

static void servers_done(struct servers *s)
{
	close(s->tcp4);
	close(s->tcp6);
	close(s->udp4);
	close(s->udp6);
}

enum { TCP4 = 1, TCP6 = 2, UDP4 = 4, UDP6 = 8, ALL = 15 };

static void one_is(const char *what, bool reachable, int who)
{
	if (who != (reachable ? 0 : -ECONNREFUSED))
		fail_msg("%s is %s", what, who == 0 ? "reachable" : strerror(-who));
}

/* Exactly those in @reachable are; the others are refused. */
static void reachable_are(const struct servers *s, uint16_t port, int reachable)
{
	one_is("tcp4", reachable & TCP4, tcp_who_accepts("127.0.0.1", port, &s->tcp4, 1));
	one_is("tcp6", reachable & TCP6, tcp_who_accepts("::1", port, &s->tcp6, 1));
	one_is("udp4", reachable & UDP4, udp_who_receives("127.0.0.1", port, &s->udp4, 1));
	one_is("udp6", reachable & UDP6, udp_who_receives("::1", port, &s->udp6, 1));
}

static void a_binding_touches_its_family_and_protocol_alone(void **state)
{
	static const struct {
		const char *protocol, *prefix, *port;
		int touched;
	} cases[] = {
		{ "tcp", "::/0", "0", TCP6 },
		{ "udp", "::/0", "0", UDP6 },
		{ "tcp", "0.0.0.0/0", "0", TCP4 },
		{ "udp", "0.0.0.0/0", "0", UDP4 },
		{ "tcp", "::/0", "8080", TCP6 },
		{ "tcp", "0.0.0.0/0", "1-65535", TCP4 },
		{ "tcp", "::/1", "0", TCP6 },
		{ "tcp", "::/64", "0", TCP6 }, /* IPv4-mapped addresses are in it */
		{ "udp", "::1", "8080", UDP6 },
		{ "tcp", "127.0.0.1", "8080", TCP4 },
		{ "tcp", "127.0.0.0/8", "8081", 0 },
	};
	CLEANUP(servers_done) struct servers s = { -1, -1, -1, -1 };

	(void)netns_or_skip(state);
	s = servers_make(8080);
	reachable_are(&s, 8080, ALL);
	loader_ok("load", "--max-destinations", "64", NULL);
	reachable_are(&s, 8080, ALL);
	for (size_t i = 0; i < LEN(cases); i++) {
		loader_ok("bind", "x", cases[i].protocol, cases[i].prefix, cases[i].port, NULL);
		reachable_are(&s, 8080, ALL & ~cases[i].touched);
		loader_ok("unbind", "x", cases[i].protocol, cases[i].prefix, cases[i].port, NULL);
		reachable_are(&s, 8080, ALL);
	}
}

/* A dual-stack server gets IPv4 traffic, too; an IPv6 binding has nothing to do with that. */
static void an_ipv6_binding_leaves_ipv4_clients_of_a_dual_stack_server(void **state)
{
	CLEANUP_FD int listener = -1;

	(void)netns_or_skip(state);
	listener = tcp_listen_dual(8080);
	loader_ok("load", "--max-destinations", "64", NULL);
	loader_ok("bind", "x", "tcp", "::/0", "0", NULL);
	assert_int_equal(tcp_who_accepts("127.0.0.1", 8080, &listener, 1), 0);
	assert_int_equal(tcp_who_accepts("::1", 8080, &listener, 1), -ECONNREFUSED);
}

/* ---- namespaces ---- */

static int register_own(uint16_t port)
{
	int fd = tcp_listen("127.0.0.1", port);

	loader_register(getpid(), "foo", "tcp", "127.0.0.1", port);
	return fd;
}

static void namespaces_do_not_touch_each_other(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *here = NULL, *there = NULL;
	struct second_netns s;
	int a, b = -1;

	second_netns_make(ns, &s);
	loader_ok("load", "--max-destinations", "64", NULL);
	loader_ok("--netns", s.path, "load", "--max-destinations", "64", NULL);
	state_check(ns);
	state_check_folder(s.folder, s.inode);

	there = state_dump(s.folder);
	loader_ok("bind", "foo", "tcp", "127.0.0.2", "80", NULL);
	a = register_own(8080);
	state_is_still(s.folder, there);
	here = state_dump(ns->state_dir);
	loader_ok("--netns", s.path, "bind", "foo", "tcp", "127.0.0.2", "80", NULL);
	THERE(&s, b = register_own(8080));
	state_is_still(ns->state_dir, here);

	assert_int_equal(tcp_who_accepts("127.0.0.2", 80, (int[]){ a, b }, 2), 0);
	THERE(&s, assert_int_equal(tcp_who_accepts("127.0.0.2", 80, (int[]){ a, b }, 2), 1));
	close(b);
	assert_int_equal(tcp_who_accepts("127.0.0.2", 80, &a, 1), 0);
	THERE(&s, assert_int_equal(tcp_connect("127.0.0.2", 80), -ECONNREFUSED));
	close(a);
	assert_int_equal(tcp_connect("127.0.0.2", 80), -ECONNREFUSED);

	loader_ok("--netns", s.path, "unload", NULL);
	assert_int_equal(state_check(ns).bindings, 1);
	loader_ok("unload", NULL);
	second_netns_done(&s);
}

static void a_binding_elsewhere_leaves_plain_servers_here(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP(servers_done) struct servers here = servers_make(8080);
	struct second_netns s;

	second_netns_make(ns, &s);
	loader_ok("--netns", s.path, "load", "--max-destinations", "64", NULL);
	loader_ok("--netns", s.path, "bind", "x", "tcp", "0.0.0.0/0", "0", NULL);
	loader_ok("--netns", s.path, "bind", "x", "tcp", "::/0", "0", NULL);
	loader_ok("--netns", s.path, "bind", "x", "udp", "0.0.0.0/0", "0", NULL);
	reachable_are(&here, 8080, ALL);
	second_netns_done(&s);
}

/* Tries to register the listener of @pid, and returns what was said. Frees with free(). */
static char *refusal(const char *netns, pid_t pid)
{
	struct command_result r;
	char text[16], *said;

	snprintf(text, sizeof(text), "%d", (int)pid);
	r = loader("--netns", netns, "register-pid", text, "foo", "tcp", "127.0.0.1", "8080", NULL);
	assert_int_equal(r.status, 1);
	assert_string_equal(r.out, "");
	said = TAKE_PTR(r.err);
	command_done(&r);
	return said;
}

/* Such a socket the kernel would take, and its clients would wait for ever. */
static void a_socket_of_another_namespace_is_refused(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *before = NULL, *process = NULL, *socket = NULL;
	CLEANUP_FD int listener = -1;
	char advice[128];
	struct second_netns s;

	second_netns_make(ns, &s);
	loader_ok("load", "--max-destinations", "64", NULL);
	loader_ok("bind", "foo", "tcp", "127.0.0.2", "80", NULL);
	loader_ok("--netns", s.path, "load", "--max-destinations", "64", NULL);
	before = state_dump(ns->bpffs);
	THERE(&s, listener = tcp_listen("127.0.0.1", 8080));

	/* The process is here, its socket is not. */
	socket = refusal("/proc/self/ns/net", getpid());
	assert_non_null(strstr(socket, "belongs to another network namespace"));
	/* The socket is there, its process is not. */
	process = refusal(s.path, getpid());
	assert_non_null(strstr(process, "is in another network namespace"));
	snprintf(advice, sizeof(advice), "--netns /proc/%d/ns/net", (int)getpid());
	assert_non_null(strstr(process, advice));
	state_is_still(ns->bpffs, before);
	second_netns_done(&s);
}

/* ---- where the promise ends ---- */

static void connect_to(int fd, const char *ip, uint16_t port)
{
	struct sockaddr_storage addr;
	socklen_t len = net_address(ip, port, &addr);

	assert_return_code(connect(fd, (struct sockaddr *)&addr, len), errno);
}

static void send_one(int fd)
{
	assert_int_equal(send(fd, "x", 1, 0), 1);
}

/* docs/security.md: the kernel looks for connected sockets before it asks any dispatcher. Of one
 * remote address and port, and no other. */
static void a_connected_socket_on_a_bound_address_comes_first(void **state)
{
	CLEANUP_FD int server = -1, rival = -1, client = -1, other = -1;
	char byte;

	(void)netns_or_skip(state);
	loader_ok("load", "--max-destinations", "64", NULL);
	loader_ok("bind", "foo", "udp", "127.0.0.2", "5353", NULL);
	server = udp_bind("127.0.0.1", 1053);
	loader_register(getpid(), "foo", "udp", "127.0.0.1", 1053);

	client = udp_bind("127.0.0.1", 4000);
	other = udp_bind("127.0.0.1", 4001);
	connect_to(client, "127.0.0.2", 5353);
	connect_to(other, "127.0.0.2", 5353);
	rival = udp_bind("127.0.0.2", 5353);
	send_one(client);
	assert_true(net_readable(server, NET_TIMEOUT_MS)); /* bound alone it gets nothing */
	assert_false(net_readable(rival, 0));
	assert_int_equal(recv(server, &byte, 1, 0), 1);

	connect_to(rival, "127.0.0.1", 4000);
	send_one(client);
	assert_true(net_readable(rival, NET_TIMEOUT_MS));
	assert_false(net_readable(server, 0));
	send_one(other);
	assert_true(net_readable(server, NET_TIMEOUT_MS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(a_binding_touches_its_family_and_protocol_alone),
		netns_test(an_ipv6_binding_leaves_ipv4_clients_of_a_dual_stack_server),
		netns_test(namespaces_do_not_touch_each_other),
		netns_test(a_binding_elsewhere_leaves_plain_servers_here),
		netns_test(a_socket_of_another_namespace_is_refused),
		netns_test(a_connected_socket_on_a_bound_address_comes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
