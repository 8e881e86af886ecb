/* SPDX-License-Identifier: BSD-3-Clause */
/* top: rates are those of the traffic, and a terminal gets a table that it is rid of at the end. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/operator.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"

static void printed_is(const char *expression, const char *expected)
{
	struct command_result r = loader("top", "--json", NULL);

	assert_int_equal(r.status, 0);
	operator_json_is(r.out, expression, expected);
	command_done(&r);
}

static int register_web(void)
{
	int listener = tcp_listen("127.0.0.1", 7000);

	assert_return_code(listener, -listener);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "web", "tcp", "127.1.0.0/16", "80", NULL);
	loader_ok("bind", "empty", "tcp", "127.2.0.0/16", "80", NULL);
	loader_register(getpid(), "web", "tcp", "127.0.0.1", 7000);
	return listener;
}

/* Connects all the time until the program has printed something. */
static void connect_until_printed(struct process *p, int listener)
{
	while (!*process_stdout(p)) {
		CLEANUP_FD int client = tcp_connect("127.1.2.3", 80), accepted = -1;

		assert_return_code(client, -client);
		accepted = tcp_accept(listener);
		assert_return_code(accepted, -accepted);
		assert_int_equal(tcp_connect("127.2.0.1", 80), -ECONNREFUSED);
	}
}

static void rates_are_those_of_the_traffic(void **state)
{
	const char *argv[] = { loader_path(), "top", "--json", NULL };
	CLEANUP_FD int listener = -1;
	CLEANUP_FREE char *document = NULL;
	struct process *p;

	(void)netns_or_skip(state);
	listener = register_web();
	p = process_start(&(struct process_options){ .argv = argv });
	connect_until_printed(p, listener);
	assert_int_equal(process_wait(p), 0);
	document = strdup(process_stdout(p));
	process_stop(p, 0);
	operator_json_is(
		document,
		"[(v['label'], v['per_second']['lookups'] > 0, v['per_second']['misses'] > 0,"
		" v['per_second']['errors']) for v in sorted(d['labels'], key=str)]",
		"[('empty', True, True, 0.0), ('web', True, False, 0.0)]");
}

static void traffic_of_before_does_not_count(void **state)
{
	CLEANUP_FD int listener = -1, client = -1;

	(void)netns_or_skip(state);
	listener = register_web();
	client = tcp_connect("127.1.2.3", 80);
	assert_return_code(client, -client);
	printed_is("[v['per_second']['lookups'] for v in d['labels']]", "[0.0, 0.0]");
}

static void sockets_and_their_owners_are_named(void **state)
{
	CLEANUP_FD int listener = -1;
	char expected[64];

	(void)netns_or_skip(state);
	listener = register_web();
	snprintf(expected, sizeof(expected), "[('empty', 0, []), ('web', 1, [%d])]", (int)getpid());
	printed_is(
		"[(v['label'], v['sockets'], [o['pid'] for o in v['owners']]) for v in d['labels']]",
		expected);
}

/* One socket, in the slots of both families. */
static void a_dual_stack_socket_is_one(void **state)
{
	CLEANUP_FD int listener = -1;

	(void)netns_or_skip(state);
	listener = tcp_listen_dual(7000);
	assert_return_code(listener, -listener);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "web", "tcp", "127.1.0.0/16", "80", NULL);
	loader_ok("bind", "web", "tcp", "fd00::/8", "80", NULL);
	loader_register(getpid(), "web", "tcp", "::", 7000);
	printed_is("[(v['sockets'], len(v['owners'])) for v in d['labels']]", "[(1, 1)]");
}

static void once_prints_a_table(void **state)
{
	CLEANUP_FD int listener = -1;
	struct command_result r;

	(void)netns_or_skip(state);
	listener = register_web();
	r = loader("top", "--once", NULL);
	assert_non_null(strstr(r.out, " label lookups/s misses/s errors/s sockets"));
	assert_non_null(strstr(r.out, " empty       0.0      0.0      0.0       0"));
	assert_non_null(strstr(r.out, "   web       0.0      0.0      0.0       1"));
	operator_said(&r, 0, NULL);
}

static void without_a_terminal_it_says_so(void **state)
{
	struct command_result r;

	(void)netns_or_skip(state);
	r = loader("top", "--once", NULL);
	operator_printed(&r, 1, "", "no dispatcher is loaded");
	loader_ok(OPERATOR_LOAD, NULL);
	r = loader("top", NULL);
	operator_printed(&r, 2, "", "top needs a terminal, or --once");
	r = loader("top", "--once", "--interval", "0", NULL);
	operator_printed(&r, 2, "", "--interval");
	r = operator_in_terminal("no-such-terminal", "never", "", loader_path(), "top", NULL);
	assert_non_null(strstr(r.out, "not shown ended with 1\n"));
	assert_non_null(strstr(r.out, "this terminal is not known (TERM is 'no-such-terminal')"));
	operator_said(&r, 0, NULL);
}

static void check_terminal(const char *action)
{
	struct command_result r =
		operator_in_terminal("xterm", "web", action, loader_path(), "top", NULL);

	if (strncmp(r.out, "shown ended with 0\n", 19))
		fail_msg("%s: %s%s", action, r.out, r.err);
	assert_non_null(strstr(r.out, "\033[?1049l")); /* as xterm is told that it is over */
	operator_said(&r, 0, NULL);
}

static void a_terminal_shows_the_labels_until_it_is_to_end(void **state)
{
	CLEANUP_FD int listener = -1;

	(void)netns_or_skip(state);
	listener = register_web();
	check_terminal("q");
	check_terminal("SIGINT");
	check_terminal("SIGTERM");
	check_terminal("xq"); /* another key does nothing */
}

/* By itself: SIGHUP would end it otherwise. */
static void a_terminal_that_goes_ends_it(void **state)
{
	CLEANUP_FD int listener = -1;
	struct command_result r;

	(void)netns_or_skip(state);
	listener = register_web();
	r = operator_in_terminal("xterm", "web", "hang up", "/bin/sh", "-c",
				 "trap '' HUP; exec \"$0\" top", loader_path(), NULL);
	assert_int_equal(strncmp(r.out, "shown ended with 0\n", 19), 0);
	operator_said(&r, 0, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(rates_are_those_of_the_traffic),
		netns_test(traffic_of_before_does_not_count),
		netns_test(sockets_and_their_owners_are_named),
		netns_test(a_dual_stack_socket_is_one),
		netns_test(once_prints_a_table),
		netns_test(without_a_terminal_it_says_so),
		netns_test(a_terminal_shows_the_labels_until_it_is_to_end),
		netns_test(a_terminal_that_goes_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
