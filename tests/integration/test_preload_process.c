/* SPDX-License-Identifier: BSD-3-Clause */
/* The library in processes of all kinds: it must work in them and they must not notice. */
#include <errno.h>
#include <fcntl.h>
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

#include "integration/guest_process.h"
#include "state/cleanup.h"
#include "support/net.h"

#define FOO "ISOMER_LABEL=foo"

static const struct guest_options foo = { .env = { FOO } };

static void an_unmodified_server_gets_the_traffic(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	guest_refused("127.0.0.9", 4321);
	p = guest_start(&foo, "server", "--name", "plain", "tcp,127.0.0.1,8080", NULL);
	guest_serves("127.0.0.9", 4321, "plain");
	guest_serves("127.0.0.1", 8080, "plain");
	guest_said_nothing(p);
	process_stop(p, SIGTERM);
	guest_refused("127.0.0.9", 4321);
}

static void an_unprivileged_server_with_a_grant_gets_the_traffic(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	loader_ok("grant", "foo", "nobody", NULL);
	p = guest_start(&(struct guest_options){ .env = { FOO }, .uid = GUEST_NOBODY }, "server",
			"tcp,127.0.0.1,8080", NULL);
	guest_serves("127.0.0.9", 4321, "guest");
	guest_said_nothing(p);
	process_stop(p, SIGTERM);
}

static void without_label_and_rules_nothing_happens(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = guest_start(&(struct guest_options){ .env = { "ISOMER_LOG=debug" } }, "server",
			"tcp,127.0.0.1,8080", NULL);
	guest_refused("127.0.0.9", 4321);
	guest_serves("127.0.0.1", 8080, "guest");
	guest_said_nothing(p);
	process_stop(p, SIGTERM);
}

static void results_and_errno_are_those_of_the_kernel(void **state)
{
	static const char *const lines[] = {
		"tcp,127.0.0.1,8080: bind=0 errno=untouched",
		"tcp,127.0.0.1,8080: listen=0 errno=untouched fd=3 accepting=1",
		"tcp,127.0.0.1,8080,x: bind=-1 errno=EADDRINUSE",
		"udp,127.0.0.1,8080: bind=0 errno=untouched",
		"tcp,192.0.2.1,80: bind=-1 errno=EADDRNOTAVAIL",
	};
	struct process *p;

	(void)netns_or_skip(state);
	for (int dispatcher = 0; dispatcher < 2; dispatcher++) {
		if (dispatcher)
			guest_dispatcher();
		p = guest_start(&foo, "server", "tcp,127.0.0.1,8080", "tcp,127.0.0.1,8080,x",
				"udp,127.0.0.1,8080", "tcp,192.0.2.1,80", NULL);
		for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
			if (!strstr(process_stdout(p), lines[i]))
				fail_msg("no '%s' in:\n%s", lines[i], process_stdout(p));
		process_stop(p, SIGTERM);
	}
}

static void descriptor_0_may_be_the_socket(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = guest_start(&foo, "server", "--fd0", "tcp,127.0.0.1,8080", NULL);
	assert_non_null(strstr(process_stdout(p), "listen=0 errno=untouched fd=0 accepting=1"));
	guest_serves("127.0.0.9", 4321, "guest");
	process_stop(p, SIGTERM);
}

static void a_daemon_may_close_all_descriptors(void **state)
{
	struct process_options o = { 0 };
	struct process *p;
	CLEANUP_FREE char *preload = NULL;

	(void)netns_or_skip(state);
	guest_dispatcher();
	assert_true(asprintf(&preload, "LD_PRELOAD=%s", preload_path()) > 0);
	o.argv = (const char *const[]){ guest_path("daemon"), "127.0.0.1", "8080", NULL };
	o.env = (const char *const[]){ FOO, preload, NULL };
	p = process_start(&o);
	process_wait_port(p, "tcp", 8081); /* it is registered by then */
	guest_serves("127.0.0.9", 4321, "daemon");
	assert_int_equal(process_stop(p, SIGTERM), 128 + SIGTERM);
}

/* Its "stderr" is a listener, into which nothing may be written. */
static void a_daemon_without_a_dispatcher_just_runs(void **state)
{
	struct process_options o = { 0 };
	struct process *p;
	CLEANUP_FREE char *preload = NULL;

	(void)netns_or_skip(state);
	assert_true(asprintf(&preload, "LD_PRELOAD=%s", preload_path()) > 0);
	o.argv = (const char *const[]){ guest_path("daemon"), "127.0.0.1", "8080", NULL };
	o.env = (const char *const[]){ FOO, "ISOMER_LOG=debug", preload, NULL };
	p = process_start(&o);
	process_wait_port(p, "tcp", 8080);
	guest_serves("127.0.0.1", 8080, "daemon");
	assert_int_equal(process_stop(p, SIGTERM), 128 + SIGTERM);
}

static void threads_may_listen_at_once(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	guest_dispatcher();
	p = guest_start(&foo, "threads", "127.0.0.1", "8080", NULL);
	guest_serves("127.0.0.9", 4321, "threads");
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_TCP), 2);
	process_stop(p, SIGTERM);
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_TCP), 0);
}

/* Sanitizers need more than there is. */
static void a_thread_with_the_smallest_stack_may_listen(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
#ifndef __SANITIZE_ADDRESS__
	guest_dispatcher();
	p = guest_start(&foo, "small_stack", "8080", NULL);
	guest_serves("127.0.0.9", 4321, "small");
	guest_serves("::1", 4321, "small");
	process_stop(p, SIGTERM);
#else
	(void)p;
#endif
}

static void children_of_bash_inherit_nothing_when_they_should_not(void **state)
{
	static const char *const argv[] = { "bash", "-c", "env", NULL };
	const char *const env[] = { "LD_PRELOAD", "ISOMER_LABEL=foo", "ISOMER_INHERIT=0", NULL };
	CLEANUP(command_done) struct command_result r = { 0 };
	char preload[PATH_MAX + 16];
	const char *set[sizeof(env) / sizeof(*env)];

	(void)netns_or_skip(state);
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", preload_path());
	memcpy(set, env, sizeof(set));
	set[0] = preload;
	r = command_run(&(struct process_options){ .argv = argv, .env = set });
	assert_non_null(strstr(r.out, "PATH="));
	assert_null(strstr(r.out, "ISOMER_LABEL"));
	assert_null(strstr(r.out, "ISOMER_INHERIT"));
#ifndef __SANITIZE_ADDRESS__ /* whose runtime has to stay, and blames bash */
	assert_int_equal(r.status, 0);
	assert_null(strstr(r.out, "LD_PRELOAD"));
#endif
}

static void a_thread_that_is_being_cancelled_may_listen(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = guest_start(&foo, "threads", "127.0.0.1", "8080", NULL);
	assert_non_null(strstr(process_stdout(p), "listened=1 cancelled=1"));
	process_stop(p, SIGTERM);
}

static void children_of_a_threaded_process_may_listen(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	/* By a rule, so that every listener is one to register. */
	p = guest_start(&(struct guest_options){ .env = { "ISOMER_RULES=foo=tcp:*:*" } }, "forks",
			"8080", NULL);
	assert_non_null(strstr(process_stdout(p), "100 of 100 children listened"));
	guest_serves("127.0.0.9", 4321, "child");
	guest_said_nothing(p);
	process_stop(p, SIGTERM);
}

static void a_fork_during_the_start_leaves_a_working_child(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = guest_start(&(struct guest_options){ .env = { FOO, "ISOMER_LOG=info" },
						 .preload_after = "early_fork" },
			"server", NULL);
	assert_non_null(strstr(process_stdout(p), "child of a start: 0\n"));
	assert_non_null(strstr(process_stderr(p), "registered tcp 127.0.0.1:7002 under 'foo'"));
	assert_non_null(strstr(process_stderr(p), "registered tcp 127.0.0.1:7001 under 'foo'"));
	process_stop(p, SIGTERM);
}

#ifndef __SANITIZE_ADDRESS__ /* whose runtime is not there that early */
static void a_listener_from_before_all_constructors_is_registered(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = guest_start(&foo, "early", NULL);
	guest_serves("127.0.0.9", 4321, "early");
	guest_said_nothing(p);
	process_stop(p, SIGTERM);
}
#endif

static void another_preload_library_keeps_its_turn(void **state)
{
	static const struct guest_options both[] = {
		{ .env = { FOO }, .preload_before = "other_preload" },
		{ .env = { FOO }, .preload_after = "other_preload" },
	};

	(void)netns_or_skip(state);
	guest_dispatcher();
	for (size_t i = 0; i < 2; i++) {
		struct process *p = guest_start(&both[i], "server", "tcp,127.0.0.1,8080", NULL);

		assert_non_null(strstr(process_stdout(p), "other bind\n"));
		assert_non_null(strstr(process_stdout(p), "other listen\n"));
		guest_serves("127.0.0.9", 4321, "guest");
		guest_said_nothing(p);
		process_stop(p, SIGTERM);
	}
}

/* From another file it is another library to the dynamic linker. */
static void the_library_may_be_loaded_twice(void **state)
{
	CLEANUP(command_done) struct command_result copied = { 0 };
	char copy[] = "/tmp/isomer-test-XXXXXX";
	CLEANUP_FREE char *preload = NULL;
	struct process_options o = { 0 };
	CLEANUP_FD int fd = -1;
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	fd = mkostemp(copy, O_CLOEXEC);
	assert_true(fd >= 0);
	copied = command_run(&(struct process_options){
		.argv = (const char *const[]){ "cp", preload_path(), copy, NULL } });
	assert_int_equal(copied.status, 0);
	assert_true(asprintf(&preload, "LD_PRELOAD=%s:%s", preload_path(), copy) > 0);
	o.argv = (const char *const[]){ guest_path("server"), "tcp,127.0.0.1,8080", NULL };
	o.env = (const char *const[]){ FOO, "ISOMER_LOG=info", preload, NULL };
	p = process_start(&o);
	process_wait_output(p, "ready");
	unlink(copy);
	guest_serves("127.0.0.9", 4321, "guest");
	guest_said(p, "registered tcp 127.0.0.1:8080 under 'foo': ipv4 slot 1");
	process_stop(p, SIGTERM);
}

/* A seccomp filter that kills on bpf(): the library must not call it. */
static void a_server_under_seccomp_survives(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = guest_start(&foo, "server", "--seccomp", "tcp,127.0.0.1,8080", NULL);
	guest_serves("127.0.0.1", 8080, "guest");
	guest_refused("127.0.0.9", 4321);
	guest_said(p, "register-pid ");
	assert_non_null(strstr(process_stderr(p), " foo tcp 127.0.0.1 8080'"));
	assert_non_null(strstr(process_stderr(p), "seccomp"));
	process_stop(p, SIGTERM);
}

static void without_proc_a_filter_is_assumed(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = guest_start(&foo, "server", "--no-proc", "tcp,127.0.0.1,8080", NULL);
	guest_serves("127.0.0.1", 8080, "guest");
	guest_refused("127.0.0.9", 4321);
	guest_said(p, "/proc/thread-self/status cannot be read");
	process_stop(p, SIGTERM);
}

static void the_namespace_of_the_start_is_remembered(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = guest_start(&foo, "server", "--bare-proc", "tcp,127.0.0.1,8080", NULL);
	guest_serves("127.0.0.9", 4321, "guest");
	guest_said_nothing(p);
	process_stop(p, SIGTERM);
}

static struct command_result environment_of_a_child(const char *inherit, const char *preload)
{
	const char *const env[] = { FOO, "ISOMER_LOG=warn", inherit, preload, NULL };
	const char *const argv[] = { "sh", "-c", "exec env", NULL };

	return command_run(&(struct process_options){ .argv = argv, .env = env });
}

static void children_get_the_variables_unless_told_otherwise(void **state)
{
	CLEANUP_FREE char *preload = NULL, *with_other = NULL;
	CLEANUP(command_done) struct command_result r = { 0 }, kept = { 0 }, left = { 0 };

	(void)netns_or_skip(state);
	assert_true(asprintf(&preload, "LD_PRELOAD=%s", preload_path()) > 0);
	assert_true(asprintf(&with_other, "LD_PRELOAD=%s %s", guest_path("other_preload.so"),
			     preload_path()) > 0);

	kept = environment_of_a_child("ISOMER_INHERIT=1", preload);
	assert_non_null(strstr(kept.out, preload_path()));
	assert_non_null(strstr(kept.out, FOO "\n"));

	r = environment_of_a_child("ISOMER_INHERIT=0", preload);
	assert_null(strstr(r.out, "libisomer"));
	assert_null(strstr(r.out, "ISOMER_L")); /* LABEL and LOG */
	assert_null(strstr(r.out, "ISOMER_INHERIT"));

	left = environment_of_a_child("ISOMER_INHERIT=0", with_other);
	assert_non_null(strstr(left.out, guest_path("other_preload.so")));
	assert_null(strstr(left.out, "libisomer"));
	assert_null(strstr(left.out, "ISOMER_L"));
	assert_int_equal(left.status, 0);
}

static void the_library_is_silent_in_other_programs(void **state)
{
	CLEANUP(command_done) struct command_result r = { 0 };
	CLEANUP_FREE char *preload = NULL;

	(void)netns_or_skip(state); /* no dispatcher, and rules that cannot be read */
	assert_true(asprintf(&preload, "LD_PRELOAD=%s", preload_path()) > 0);
	r = command_run(&(struct process_options){
		.argv = (const char *const[]){ "sh", "-c", "ls / >/dev/null; true", NULL },
		.env = (const char *const[]){ FOO, "ISOMER_RULES=x", preload, NULL } });
	assert_string_equal(r.err, "");
	assert_int_equal(r.status, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		netns_test(an_unmodified_server_gets_the_traffic),
		netns_test(an_unprivileged_server_with_a_grant_gets_the_traffic),
		netns_test(without_label_and_rules_nothing_happens),
		netns_test(results_and_errno_are_those_of_the_kernel),
		netns_test(descriptor_0_may_be_the_socket),
		netns_test(a_daemon_may_close_all_descriptors),
		netns_test(a_daemon_without_a_dispatcher_just_runs),
		netns_test(threads_may_listen_at_once),
		netns_test(a_thread_with_the_smallest_stack_may_listen),
		netns_test(children_of_bash_inherit_nothing_when_they_should_not),
		netns_test(a_thread_that_is_being_cancelled_may_listen),
		netns_test(children_of_a_threaded_process_may_listen),
		netns_test(a_fork_during_the_start_leaves_a_working_child),
#ifndef __SANITIZE_ADDRESS__
		netns_test(a_listener_from_before_all_constructors_is_registered),
#endif
		netns_test(another_preload_library_keeps_its_turn),
		netns_test(the_library_may_be_loaded_twice),
		netns_test(a_server_under_seccomp_survives),
		netns_test(without_proc_a_filter_is_assumed),
		netns_test(the_namespace_of_the_start_is_remembered),
		netns_test(children_get_the_variables_unless_told_otherwise),
		netns_test(the_library_is_silent_in_other_programs),
	};

	return cmocka_run_group_tests_name("preload_process", tests, NULL, NULL);
}
