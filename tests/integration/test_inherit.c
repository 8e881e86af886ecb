/* SPDX-License-Identifier: BSD-3-Clause */
/* Children of servers that listen themselves: docs/library.md, "Children of a server". */
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "integration/server.h"
#include "state/cleanup.h"

#define FOO   "ISOMER_LABEL=foo"
#define RULES "ISOMER_RULES=foo=tcp:*:8080"
#define KEPT  "ISOMER_INHERIT=0"

/* Starts the server; its child, if it is a program, has a port to debug it and one for logs. */
static struct process *start_parent(const char *variable, const char *inherit, const char *kind)
{
	CLEANUP_FREE char *preload = NULL, *child = strdup(guest_path("server"));
	const char *argv[] = {
		server_python(),      server_script("children.py"), kind, child, "--name", "child",
		"tcp,127.0.0.1,9090", "udp,127.0.0.1,9514",         NULL
	};
	const char *env[] = { NULL, variable, inherit, NULL };
	struct process *p;

	assert_true(asprintf(&preload, "LD_PRELOAD=%s", preload_path()) > 0);
	env[0] = preload;
	p = process_start(&(struct process_options){ .argv = argv, .env = env });
	process_wait_output(p, "ready");
	return p;
}

static void children_that_do_not_inherit_do_not_register(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	guest_dispatcher();
	p = start_parent(FOO, KEPT, "exec");
	guest_serves("127.0.0.9", 4321, "parent");
	guest_serves("127.0.0.1", 9090, "child");
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_TCP), 1);
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_UDP), 0);
	process_stop(p, SIGTERM);
}

/* Which is why there are rules. */
static void by_default_a_child_takes_the_traffic_of_its_parent(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	guest_dispatcher();
	p = start_parent(FOO, NULL, "exec");
	guest_serves("127.0.0.9", 4321, "child");
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_TCP), 2);
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_UDP), 1);
	process_stop(p, SIGTERM);
}

static void by_rules_it_does_not(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	guest_dispatcher();
	p = start_parent(RULES, NULL, "exec");
	guest_serves("127.0.0.9", 4321, "parent");
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_TCP), 1);
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_UDP), 0);
	process_stop(p, SIGTERM);
}

static void a_cgi_has_the_traffic_for_as_long_as_it_lives(void **state)
{
	static const char *const inherits[] = { NULL, KEPT };

	(void)netns_or_skip(state);
	guest_dispatcher();
	for (size_t i = 0; i < 2; i++) {
		struct process *p = start_parent(FOO, inherits[i], "cgi");

		guest_serves("127.0.0.1", 8080, "parent"); /* its child listened, and ended */
		guest_serves("127.0.0.9", 4321, "parent");
		process_stop(p, SIGTERM);
	}
}

/* It is the same program, with the library that knows its parent's port. */
static void a_child_without_a_program_of_its_own_is_the_same_server(void **state)
{
	static const char *const inherits[] = { NULL, KEPT };
	struct netns_fixture *ns = netns_or_skip(state);

	guest_dispatcher();
	for (size_t i = 0; i < 2; i++) {
		struct process *p = start_parent(FOO, inherits[i], "fork");

		guest_serves("127.0.0.9", 4321, "parent");
		guest_serves("127.0.0.1", 9090, "child");
		assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_TCP), 1);
		guest_said(p, "9090 is not registered: by ISOMER_LABEL alone");
		process_stop(p, SIGTERM);
	}
}

/* Runs a shell that starts the server, as wrapper scripts do. */
static struct process *start_wrapped(const char *inherit)
{
	CLEANUP_FREE char *preload = NULL, *server = strdup(guest_path("server"));
	const char *argv[] = { "sh", "-c", "\"$0\" tcp,127.0.0.1,8080 & wait", server, NULL };
	const char *env[] = { NULL, FOO, inherit, NULL };
	struct process *p;

	assert_true(asprintf(&preload, "LD_PRELOAD=%s", preload_path()) > 0);
	env[0] = preload;
	p = process_start(&(struct process_options){ .argv = argv, .env = env });
	process_wait_output(p, "ready");
	return p;
}

static void a_wrapper_script_needs_the_default(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = start_wrapped(KEPT);
	guest_serves("127.0.0.1", 8080, "guest");
	guest_refused("127.0.0.9", 4321);
	process_stop(p, SIGTERM);
}

static void a_wrapper_script_passes_the_variables_on(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = start_wrapped(NULL);
	guest_serves("127.0.0.9", 4321, "guest");
	process_stop(p, SIGTERM);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		netns_test(children_that_do_not_inherit_do_not_register),
		netns_test(by_default_a_child_takes_the_traffic_of_its_parent),
		netns_test(by_rules_it_does_not),
		netns_test(a_cgi_has_the_traffic_for_as_long_as_it_lives),
		netns_test(a_child_without_a_program_of_its_own_is_the_same_server),
		netns_test(a_wrapper_script_needs_the_default),
		netns_test(a_wrapper_script_passes_the_variables_on),
	};

	return cmocka_run_group_tests_name("inherit", tests, NULL, NULL);
}
