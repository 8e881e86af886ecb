/* SPDX-License-Identifier: BSD-3-Clause */
/* explain: which binding, which socket, whose, why, and what the kernel says. */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/operator.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"

#define NOBODY 65534
#define GROUP  4242

#define PROGRAM "test_explain"

/* ---- help ---- */

/* Fails unless it prints exactly this. */
#define EXPLAINS(expected, ...)                                                                    \
	do {                                                                                       \
		struct command_result said = loader("explain", __VA_ARGS__, NULL);                 \
		operator_printed(&said, 0, (expected), NULL);                                      \
	} while (0)

#define EXPLAINS_JSON(expression, expected, ...)                                                   \
	do {                                                                                       \
		struct command_result said = loader("explain", "--json", __VA_ARGS__, NULL);       \
		operator_json_is(said.out, (expression), (expected));                              \
		operator_said(&said, 0, NULL);                                                     \
	} while (0)

static void register_own(const char *label, const char *protocol, const char *ip, uint16_t port)
{
	loader_register(getpid(), label, protocol, ip, port);
}

static int listen_as(const char *label, uint16_t port)
{
	int fd = tcp_listen("127.0.0.1", port);

	assert_return_code(fd, -fd);
	register_own(label, "tcp", "127.0.0.1", port);
	return fd;
}

/* Printing into one of a few buffers, so that a call may have several. */
static const char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

static const char *text(const char *format, ...)
{
	static char buffers[4][1024];
	static unsigned next;
	char *buffer = buffers[next++ % 4];
	va_list ap;

	va_start(ap, format);
	vsnprintf(buffer, sizeof(buffers[0]), format, ap);
	va_end(ap);
	return buffer;
}

/* ---- bindings ---- */

static void bind_one_over_another(void)
{
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "host", "tcp", "127.1.2.3", "0", NULL);
	loader_ok("bind", "exact", "tcp", "127.1.0.0/16", "80", NULL);
	loader_ok("bind", "small", "tcp", "127.1.0.0/16", "80-82", NULL);
	loader_ok("bind", "upper", "tcp", "127.1.0.0/16", "81-83", NULL);
	loader_ok("bind", "large", "tcp", "127.1.0.0/16", "1-1000", NULL);
	loader_ok("bind", "all", "tcp", "127.1.0.0/16", "0", NULL);
	loader_ok("bind", "short", "tcp", "0.0.0.0/0", "80", NULL);
	/* Not of this traffic. */
	loader_ok("bind", "udp", "udp", "127.1.0.0/16", "80", NULL);
	loader_ok("bind", "six", "tcp", "::/0", "80", NULL);
	loader_ok("bind", "beside", "tcp", "127.0.0.0/16", "80", NULL);
}

static void the_winner_and_why_it_beats_the_others(void **state)
{
	(void)netns_or_skip(state);
	bind_one_over_another();
	EXPLAINS_JSON("[d['binding']['text']] + [b['text'] + ' ' + b['beaten_because'] "
		      "for b in d['beats']]",
		      "['host#tcp:[127.1.2.3/32]:0', "
		      "'exact#tcp:[127.1.0.0/16]:80 its prefix is longer', "
		      "'small#tcp:[127.1.0.0/16]:80-82 its prefix is longer', "
		      "'large#tcp:[127.1.0.0/16]:1-1000 its prefix is longer', "
		      "'all#tcp:[127.1.0.0/16]:0 its prefix is longer', "
		      "'short#tcp:[0.0.0.0/0]:80 its prefix is longer']",
		      "tcp", "127.1.2.3", "80");
	EXPLAINS_JSON("[d['binding']['label']] + [b['label'] + ' ' + b['beaten_because'] "
		      "for b in d['beats']]",
		      "['exact', 'small it covers fewer ports', 'large it covers fewer ports', "
		      "'all it covers fewer ports', 'short its prefix is longer']",
		      "tcp", "127.1.2.4", "80");
	EXPLAINS_JSON("[d['binding']['label']] + [b['label'] + ' ' + b['beaten_because'] "
		      "for b in d['beats']]",
		      "['upper', 'small its range begins higher', 'large it covers fewer ports', "
		      "'all it covers fewer ports']",
		      "tcp", "127.1.2.4", "82");
	EXPLAINS("binding: upper#tcp:[127.1.0.0/16]:81-83\n"
		 "  beats large#tcp:[127.1.0.0/16]:1-1000: it covers fewer ports\n"
		 "  beats all#tcp:[127.1.0.0/16]:0: it covers fewer ports\n"
		 "destination: upper:ipv4:tcp, id 12\n"
		 "without a socket: refused\n"
		 "verdict: refused: no registered socket lives, and the miss policy is drop\n"
		 "kernel: refused, agrees\n",
		 "tcp", "127.1.2.4", "83");
}

static void without_a_binding_the_lookup_is_ordinary(void **state)
{
	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	EXPLAINS("verdict: ordinary lookup: no binding covers it\n"
		 "kernel: ordinary lookup, agrees\n",
		 "udp", "::1", "53");
	loader_ok("bind", "foo", "udp", "0.0.0.0/0", "0", NULL);
	EXPLAINS("verdict: ordinary lookup: no binding covers it\n"
		 "kernel: ordinary lookup, agrees\n",
		 "udp", "::1", "53");
	EXPLAINS_JSON("d['outcome'], d['beats'], 'binding' in d", "('ordinary', [], False)", "tcp",
		      "127.0.0.1", "53");
}

static void the_miss_policy_is_told(void **state)
{
	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "--miss", "pass", "foo", "udp", "fd00::/8", "53", NULL);
	EXPLAINS("binding: foo#udp:[fd00::/8]:53\n"
		 "destination: foo:ipv6:udp, id 3\n"
		 "without a socket: ordinary lookup\n"
		 "verdict: ordinary lookup: no registered socket lives, and the miss policy is "
		 "pass\n"
		 "kernel: ordinary lookup, agrees\n",
		 "udp", "fd00::1", "53");
	EXPLAINS_JSON("d['outcome'], d['binding']['miss'], d['kernel']['verdict']",
		      "('pass', 'pass', 'ordinary')", "udp", "fd00::1", "53");
}

/* ---- sockets ---- */

static void socket_owner_and_standbys_are_shown(void **state)
{
	CLEANUP_FD int older = -1, newer = -1;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
	older = listen_as("foo", 7000);
	newer = listen_as("foo", 7001);
	EXPLAINS(text("binding: foo#tcp:[127.1.0.0/16]:80\n"
		      "destination: foo:ipv4:tcp, id 0\n"
		      "socket: slot 0, sk:%" PRIx64 ", 127.0.0.1:7001 of pid %d (" PROGRAM ")\n"
		      "standby: slot 1, sk:%" PRIx64 ", 127.0.0.1:7000 of pid %d (" PROGRAM ")\n"
		      "without a socket: refused\n"
		      "kernel: sk:%" PRIx64 ", agrees\n",
		      net_cookie(newer), (int)getpid(), net_cookie(older), (int)getpid(),
		      net_cookie(newer)),
		 "tcp", "127.1.2.3", "80");
	EXPLAINS_JSON("[[s['slot'], s['socket'], s['pid'], s['program']] for s in d['slots']]",
		      text("[[0, 'sk:%" PRIx64 "', %d, '" PROGRAM "'], "
			   "[1, 'sk:%" PRIx64 "', %d, '" PROGRAM "'], "
			   "[2, 'sk:%" PRIx64 "', %d, '" PROGRAM "']]",
			   net_cookie(newer), (int)getpid(), net_cookie(older), (int)getpid(),
			   net_cookie(newer), (int)getpid()),
		      "tcp", "127.1.2.3", "80");
	EXPLAINS_JSON("d['outcome'], d['destination'], d['kernel']",
		      text("('socket', 'foo:ipv4:tcp', {'verdict': 'socket', "
			   "'socket': 'sk:%" PRIx64 "', 'judgement': 'agrees'})",
			   net_cookie(newer)),
		      "tcp", "127.1.2.3", "80");
}

static void a_standby_serves_when_the_current_one_has_died(void **state)
{
	CLEANUP_FD int older = -1;
	int newer;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
	older = listen_as("foo", 7000);
	newer = listen_as("foo", 7001);
	close(newer);
	EXPLAINS(text("binding: foo#tcp:[127.1.0.0/16]:80\n"
		      "destination: foo:ipv4:tcp, id 0\n"
		      "socket: slot 1, sk:%" PRIx64 ", 127.0.0.1:7000 of pid %d (" PROGRAM ")\n"
		      "without a socket: refused\n"
		      "kernel: sk:%" PRIx64 ", agrees\n",
		      net_cookie(older), (int)getpid(), net_cookie(older)),
		 "tcp", "127.1.2.3", "80");
}

#define SKIPPED "skips the first socket, which is connected or shut down"

static void a_listener_that_was_shut_down_is_skipped(void **state)
{
	CLEANUP_FD int older = -1, newer = -1;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
	older = listen_as("foo", 7000);
	newer = listen_as("foo", 7001);
	assert_return_code(shutdown(newer, SHUT_RDWR), errno);
	EXPLAINS_JSON("d['kernel']",
		      text("{'verdict': 'socket', 'socket': 'sk:%" PRIx64 "', "
			   "'judgement': '" SKIPPED "'}",
			   net_cookie(older)),
		      "tcp", "127.1.2.3", "80");
	assert_return_code(shutdown(older, SHUT_RDWR), errno);
	EXPLAINS_JSON("d['kernel']",
		      "{'verdict': 'drop', 'socket': None, 'judgement': '" SKIPPED "'}", "tcp",
		      "127.1.2.3", "80");
	assert_return_code(listen(newer, 1), errno);
	EXPLAINS_JSON("d['kernel']['judgement']", "agrees", "tcp", "127.1.2.3", "80");
}

static void a_udp_socket_that_was_connected_is_skipped(void **state)
{
	CLEANUP_FD int fd = -1;
	struct sockaddr_storage peer;
	socklen_t len = net_address("127.0.0.1", 9, &peer);

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "--miss", "pass", "foo", "udp", "127.1.0.0/16", "80", NULL);
	fd = udp_bind("127.0.0.1", 7000);
	assert_return_code(fd, -fd);
	register_own("foo", "udp", "127.0.0.1", 7000);
	EXPLAINS_JSON("d['kernel']['judgement']", "agrees", "udp", "127.1.2.3", "80");
	assert_return_code(connect(fd, (struct sockaddr *)&peer, len), errno);
	EXPLAINS_JSON("d['kernel']",
		      "{'verdict': 'ordinary', 'socket': None, 'judgement': '" SKIPPED "'}", "udp",
		      "127.1.2.3", "80");
}

/* The kernel gives no verdict that is a member of a group; that is no matter of its age. */
static void a_reuseport_member_is_shown(void **state)
{
	CLEANUP_FD int first = -1, second = -1;
	struct command_result r;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
	first = tcp_listen_reuseport("127.0.0.1", 7000);
	second = tcp_listen_reuseport("127.0.0.1", 7000);
	assert_true(first >= 0 && second >= 0);
	register_own("foo", "tcp", "127.0.0.1", 7000);
	r = loader("explain", "tcp", "127.1.2.3", "80", NULL);
	assert_non_null(strstr(r.out, text("socket: slot 0, sk:%" PRIx64 ", 127.0.0.1:7000 of pid",
					   net_cookie(first))));
	assert_non_null(strstr(r.out, "\nkernel: "));
	assert_null(strstr(r.out, "Linux 5.13"));
	operator_said(&r, 0, NULL);
}

static void a_dual_stack_socket_is_shown_for_both(void **state)
{
	CLEANUP_FD int fd = -1;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
	loader_ok("bind", "foo", "tcp", "::/0", "80", NULL);
	fd = tcp_listen_dual(7000);
	assert_return_code(fd, -fd);
	register_own("foo", "tcp", "::", 7000);
	EXPLAINS_JSON("d['slots'][0]['socket'], d['kernel']['judgement']",
		      text("('sk:%" PRIx64 "', 'agrees')", net_cookie(fd)), "tcp", "127.1.2.3",
		      "80");
	EXPLAINS_JSON("d['slots'][0]['socket'], d['kernel']['judgement']",
		      text("('sk:%" PRIx64 "', 'agrees')", net_cookie(fd)), "tcp", "fd00::1", "80");
}

/* ---- with a source ---- */

static void an_established_connection_comes_first(void **state)
{
	CLEANUP_FD int listener = -1, client = -1, accepted = -1;
	const char *port;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
	listener = listen_as("foo", 7000);
	client = tcp_connect("127.1.2.3", 80);
	assert_return_code(client, -client);
	accepted = tcp_accept(listener);
	assert_return_code(accepted, -accepted);
	port = text("%u", net_local_port(client));
	EXPLAINS_JSON("d['connected'], d['outcome']", "(True, 'socket')", "tcp", "127.1.2.3", "80",
		      "from", "127.0.0.1", port);
	EXPLAINS_JSON("d['connected']", "False", "tcp", "127.1.2.3", "80", "from", "127.0.0.2",
		      port);
	EXPLAINS_JSON("d['connected']", "False", "tcp", "127.1.2.3", "81", "from", "127.0.0.1",
		      port);
	EXPLAINS_JSON("d['connected']", "False", "udp", "127.1.2.3", "80", "from", "127.0.0.1",
		      port);
	EXPLAINS_JSON("'connected' in d", "False", "tcp", "127.1.2.3", "80");
}

static void a_connected_udp_socket_comes_first_too(void **state)
{
	CLEANUP_FD int fd = udp_bind("::1", 7000);
	struct sockaddr_storage peer;
	socklen_t len = net_address("::1", 9, &peer);
	struct command_result r;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "foo", "udp", "::/0", "0", NULL);
	assert_return_code(fd, -fd);
	assert_return_code(connect(fd, (struct sockaddr *)&peer, len), errno);
	r = loader("explain", "udp", "::1", "7000", "from", "::1", "9", NULL);
	assert_int_equal(strncmp(r.out, "a connected socket has this traffic", 35), 0);
	operator_said(&r, 0, NULL);
	EXPLAINS_JSON("d['connected']", "False", "udp", "::1", "7000", "from", "::1", "10");
}

static void mistakes_are_named(void **state)
{
	struct command_result r;

	(void)netns_or_skip(state);
	r = loader("explain", "tcp", "127.0.0.1", "80", NULL);
	operator_printed(&r, 1, "", "no dispatcher is loaded");
	loader_ok(OPERATOR_LOAD, NULL);
	r = loader("explain", "tcp", "127.0.0.1", NULL);
	operator_printed(&r, 2, "", "explain takes PROTOCOL IP PORT [from IP PORT]");
	r = loader("explain", "tcp", "127.0.0.1", "80", "from", "127.0.0.1", NULL);
	operator_printed(&r, 2, "", "explain takes PROTOCOL IP PORT [from IP PORT]");
	r = loader("explain", "tcp", "127.0.0.1", "80", "of", "127.0.0.1", "80", NULL);
	operator_printed(&r, 2, "", "explain takes PROTOCOL IP PORT [from IP PORT]");
	r = loader("explain", "tcp", "127.0.0.0/8", "80", NULL);
	operator_printed(&r, 2, "", "address '127.0.0.0/8' must be without a length");
	r = loader("explain", "tcp", "127.0.0.1", "0", NULL);
	operator_printed(&r, 2, "", "port '0' is not a number from 1 to 65535");
	r = loader("explain", "tcp", "127.0.0.1", "80", "from", "::1", "80", NULL);
	operator_printed(&r, 2, "", "'127.0.0.1' and '::1' are of different families");
}

/* ---- what it leaves alone, and who may ask ---- */

static void no_counter_moves(void **state)
{
	CLEANUP(command_done) struct command_result before = { 0 }, after = { 0 };
	CLEANUP_FD int listener = -1, udp = -1;

	(void)netns_or_skip(state);
	bind_one_over_another();
	listener = listen_as("exact", 7000);
	udp = udp_bind("127.0.0.1", 7001);
	assert_return_code(udp, -udp);
	register_own("udp", "udp", "127.0.0.1", 7001);
	assert_int_equal(tcp_who_accepts("127.1.2.4", 80, &listener, 1), 0);
	assert_int_equal(tcp_who_accepts("127.1.2.3", 80, &listener, 1), -ECONNREFUSED);
	assert_return_code(shutdown(listener, SHUT_RDWR), errno);

	before = loader("metrics", "--once", NULL);
	for (int i = 0; i < 3; i++) {
		EXPLAINS_JSON("d['outcome']", "drop", "tcp", "127.1.2.3", "80");
		EXPLAINS_JSON("d['kernel']['judgement']", SKIPPED, "tcp", "127.1.2.4", "80");
		EXPLAINS_JSON("d['kernel']['judgement']", "agrees", "udp", "127.1.2.4", "80");
		EXPLAINS_JSON("d['outcome']", "drop", "tcp", "::1", "80", "from", "::1", "99");
	}
	after = loader("metrics", "--once", NULL);
	assert_string_equal(after.out, before.out);
}

static void a_member_of_the_group_sees_all_but_the_owner(void **state)
{
	const char *argv[] = { loader_path(), "explain", "tcp", "127.1.2.3", "80", NULL };
	struct process_options member = { .argv = argv, .uid = NOBODY, .gid = GROUP };
	struct process_options other = { .argv = argv, .uid = NOBODY, .gid = NOBODY };
	CLEANUP_FD int listener = -1;
	struct command_result r;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, "--group", "4242", NULL);
	loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
	loader_ok("bind", "bar", "tcp", "127.0.0.0/8", "80", NULL);
	listener = listen_as("foo", 7000);
	r = command_run(&member);
	operator_printed(&r, 0,
			 text("binding: foo#tcp:[127.1.0.0/16]:80\n"
			      "  beats bar#tcp:[127.0.0.0/8]:80: its prefix is longer\n"
			      "destination: foo:ipv4:tcp, id 0\n"
			      "socket: slot 0, sk:%" PRIx64
			      " (the process is not visible to this user)\n"
			      "without a socket: refused\n"
			      "kernel: sk:%" PRIx64 ", agrees\n",
			      net_cookie(listener), net_cookie(listener)),
			 NULL);
	r = command_run(&other);
	operator_printed(&r, 1, "", "may not be opened by user 65534");
}

/* Slots of two labels exchanged behind the loader's back: what it works out is then wrong. */
static void a_difference_is_told(void **state)
{
	static const char exchange[] =
		"cd \"$1/labels\" && mv foo/ipv4-tcp foo/x && mv bar/ipv4-tcp foo/ipv4-tcp && "
		"mv foo/x bar/ipv4-tcp";
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FD int listener = -1;
	struct command_result r;

	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
	loader_ok("bind", "bar", "tcp", "127.2.0.0/16", "80", NULL);
	listener = listen_as("foo", 7000);
	r = operator_shell(0, exchange, ns->state_dir, NULL);
	operator_said(&r, 0, NULL);
	r = loader("explain", "tcp", "127.1.2.3", "80", NULL);
	assert_non_null(
		strstr(r.out, text("kernel: sk:%" PRIx64 ", differs\n", net_cookie(listener))));
	operator_said(&r, 1, "the kernel's verdict differs from what the bindings say");
	r = loader("explain", "--json", "tcp", "127.1.2.3", "80", NULL);
	operator_json_is(r.out, "'kernel' in d or 'error' in d", "True"); /* one document */
	operator_said(&r, 1, "the kernel's verdict differs from what the bindings say");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(the_winner_and_why_it_beats_the_others),
		netns_test(without_a_binding_the_lookup_is_ordinary),
		netns_test(the_miss_policy_is_told),
		netns_test(socket_owner_and_standbys_are_shown),
		netns_test(a_standby_serves_when_the_current_one_has_died),
		netns_test(a_listener_that_was_shut_down_is_skipped),
		netns_test(a_udp_socket_that_was_connected_is_skipped),
		netns_test(a_reuseport_member_is_shown),
		netns_test(a_dual_stack_socket_is_shown_for_both),
		netns_test(an_established_connection_comes_first),
		netns_test(a_connected_udp_socket_comes_first_too),
		netns_test(mistakes_are_named),
		netns_test(no_counter_moves),
		netns_test(a_member_of_the_group_sees_all_but_the_owner),
		netns_test(a_difference_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
