/* SPDX-License-Identifier: BSD-3-Clause */
/* Servers that `status` finds unregistered, and what brings them in. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "integration/operator.h"
#include "state/cleanup.h"
#include "support/second_netns.h"

#define FOO    "ISOMER_LABEL=foo"
#define SILENT "ISOMER_ON_ERROR=ignore"

static char *status_text(const char *operand)
{
	struct command_result r = loader("status", operand, NULL);
	char *text = TAKE_PTR(r.out);

	if (r.status != 0)
		fail_msg("status: %s", r.err);
	command_done(&r);
	return text;
}

static void status_names_nobody(const char *operand)
{
	CLEANUP_FREE char *text = status_text(operand);

	if (strstr(text, "Not registered"))
		fail_msg("status names somebody:\n%s", text);
}

/* `status` names one command, and that alone. */
static void status_names(const struct process *p, const char *operands)
{
	CLEANUP_FREE char *text = status_text(NULL), *expected = NULL;
	const char *section = strstr(text, "\nNot registered:\n");

	assert_true(asprintf(&expected,
			     "\nNot registered:\n server: isomer-loader register-pid %d %s\n",
			     (int)process_pid(p), operands) > 0);
	if (!section || strcmp(section, expected))
		fail_msg("expected '%s', got:\n%s", expected, text);
}

/* Runs the command that was named. */
static void register_pid(const struct process *p, const char *operands)
{
	CLEANUP_FREE char *words = NULL;
	struct command_result r;

	assert_true(asprintf(&words, "%d %s", (int)process_pid(p), operands) > 0);
	r = operator_shell(0, "exec \"$0\" register-pid $1", words, NULL);
	assert_int_equal(r.status, 0);
	command_done(&r);
}

static void who_was_there_before_the_dispatcher_is_named(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	p = guest_start(&(struct guest_options){ .env = { FOO, SILENT } }, "server",
			"tcp,::,8080,dual", NULL);
	guest_dispatcher();
	status_names(p, "foo tcp :: 8080");
	register_pid(p, "foo tcp :: 8080");
	status_names_nobody(NULL);
	guest_serves("127.0.0.9", 4321, "guest");
	guest_serves("::1", 4321, "guest");
	process_stop(p, SIGTERM);
}

static void who_ran_across_unload_and_load_is_named(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = guest_start(&(struct guest_options){ .env = { FOO } }, "server", "udp,127.0.0.1,8053",
			NULL);
	status_names_nobody(NULL);
	loader_ok("unload", NULL);
	guest_dispatcher();
	status_names(p, "foo udp 127.0.0.1 8053");
	process_stop(p, SIGTERM);
	status_names_nobody(NULL);
}

/* What the library leaves out, of servers that are registered. */
static void what_the_rules_leave_out_is_not_named(void **state)
{
	struct process *by_label, *by_rules;

	(void)netns_or_skip(state);
	guest_dispatcher();
	by_label = guest_start(&(struct guest_options){ .env = { FOO, SILENT } }, "server",
			       "tcp,127.0.0.1,8080,reuseport", "tcp,127.0.0.1,8080,reuseport",
			       "tcp,127.0.0.1,8080,reuseport", "tcp,127.0.0.1,9090",
			       "udp,127.0.0.1,8053", "udp,127.0.0.1,8054", NULL);
	by_rules = guest_start(
		&(struct guest_options){
			.env = { SILENT, "ISOMER_RULES=-=tcp:*:7070;foo=tcp:*:7071;bar=tcp:*:*" } },
		"server", "tcp,127.0.0.1,7070", "tcp,127.0.0.1,7071", "tcp,127.0.0.1,7072", NULL);
	status_names_nobody(NULL);
	process_stop(by_rules, SIGTERM);
	process_stop(by_label, SIGTERM);
}

static void by_rules_each_socket_is_named(void **state)
{
	CLEANUP_FREE char *text = NULL;
	struct process *p;

	(void)netns_or_skip(state);
	p = guest_start(&(struct guest_options){ .env = { SILENT, "ISOMER_RULES=-=tcp:*:7070;"
								  "foo=tcp:*:7071-7072" } },
			"server", "tcp,127.0.0.1,7070", "tcp,127.0.0.1,7071", "tcp,127.0.0.1,7072",
			NULL);
	guest_dispatcher();
	text = status_text("foo");
	assert_null(strstr(text, "7070"));
	assert_non_null(strstr(text, "foo tcp 127.0.0.1 7071\n"));
	assert_non_null(strstr(text, "foo tcp 127.0.0.1 7072\n"));
	process_stop(p, SIGTERM);
}

/* Of a process that shows a title in the place of its variables. */
static void without_its_variables_a_server_is_named_without_label(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	p = guest_start(&(struct guest_options){ .env = { FOO, SILENT } }, "server", "--title",
			"tcp,127.0.0.1,8080", NULL);
	guest_dispatcher();
	status_names(p, "LABEL tcp 127.0.0.1 8080");
	status_names_nobody("foo");
	register_pid(p, "foo tcp 127.0.0.1 8080");
	status_names_nobody(NULL);
	process_stop(p, SIGTERM);
}

static void nobody_else_is_named(void **state)
{
	struct process *plain, *unbound, *elsewhere;
	struct netns_fixture *ns = netns_or_skip(state);
	struct second_netns s;

	second_netns_make(ns, &s);
	plain = guest_start(&(struct guest_options){ .alone = true }, "server",
			    "tcp,127.0.0.1,8080", NULL);
	unbound = guest_start(&(struct guest_options){ .env = { "ISOMER_LABEL=bar", SILENT } },
			      "server", "tcp,127.0.0.1,8081", NULL);
	elsewhere = guest_start(&(struct guest_options){ .env = { FOO, SILENT }, .netns = s.path },
				"server", "tcp,127.0.0.1,8082", NULL);
	guest_dispatcher();
	loader_ok("grant", "bar", "nobody", NULL);
	status_names_nobody(NULL);
	loader_ok("bind", "bar", "tcp", "127.0.0.3", "80", NULL);
	status_names(unbound, "bar tcp 127.0.0.1 8081");
	status_names_nobody("foo");
	process_stop(plain, SIGTERM);
	process_stop(unbound, SIGTERM);
	process_stop(elsewhere, SIGTERM);
	second_netns_done(&s);
}

static void programs_are_told_the_same(void **state)
{
	struct command_result r;
	struct process *p;
	char expected[256];

	(void)netns_or_skip(state);
	p = guest_start(&(struct guest_options){ .env = { FOO, SILENT } }, "server",
			"tcp,127.0.0.1,8080", NULL);
	guest_dispatcher();
	r = loader("--json", "status", NULL);
	operator_json_is(r.out,
			 "[tuple(u.values())[:1] + tuple(u.values())[2:] for u in "
			 "d['unregistered']]",
			 "[('foo', 'server', 'tcp', '127.0.0.1', 8080)]");
	snprintf(expected, sizeof(expected), "%d", (int)process_pid(p));
	operator_json_is(r.out, "d['unregistered'][0]['pid']", expected);
	command_done(&r);
	process_stop(p, SIGTERM);
	r = loader("--json", "status", NULL);
	operator_json_is(r.out, "d['unregistered']", "[]");
	command_done(&r);
}

static void the_command_finds_the_same_state(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct command_result r;
	struct second_netns s;
	char expected[256];
	struct process *p;

	second_netns_make(ns, &s);
	p = guest_start(&(struct guest_options){ .env = { FOO, SILENT }, .netns = s.path },
			"server", "tcp,127.0.0.1,8080", NULL);
	loader_ok("--netns", s.path, "load", NULL);
	loader_ok("--netns", s.path, "bind", "foo", "tcp", "127.0.0.0/8", "4321", NULL);
	r = loader("--netns", s.path, "status", NULL);
	snprintf(expected, sizeof(expected),
		 "isomer-loader --netns %s register-pid %d foo tcp 127.0.0.1 8080\n", s.path,
		 (int)process_pid(p));
	assert_non_null(strstr(r.out, expected));
	command_done(&r);
	process_stop(p, SIGTERM);
	second_netns_done(&s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		netns_test(who_was_there_before_the_dispatcher_is_named),
		netns_test(who_ran_across_unload_and_load_is_named),
		netns_test(what_the_rules_leave_out_is_not_named),
		netns_test(by_rules_each_socket_is_named),
		netns_test(without_its_variables_a_server_is_named_without_label),
		netns_test(nobody_else_is_named),
		netns_test(programs_are_told_the_same),
		netns_test(the_command_finds_the_same_state),
	};

	return cmocka_run_group_tests_name("strays", tests, NULL, NULL);
}
