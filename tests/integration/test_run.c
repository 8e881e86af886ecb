/* SPDX-License-Identifier: BSD-3-Clause */
/* run: becomes a program whose sockets are registered. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "integration/operator.h"
#include "loader/cgroup.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"
#include "support/state_checker.h"

#define ENVIRONMENT "/usr/bin/env"

/* Fails the test unless a line of @text begins with @begin and ends with @end. */
static void has_line(const char *text, const char *begin, const char *end)
{
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		size_t len = strcspn(line, "\n");

		if (len >= strlen(end) && !strncmp(line, begin, strlen(begin)) &&
		    !strncmp(line + len - strlen(end), end, strlen(end)))
			return;
	}
	fail_msg("no line '%s...%s' in:\n%s", begin, end, text);
}

/* ---- programs that can be preloaded ---- */

static void the_program_finds_library_and_variables(void **state)
{
	struct command_result r;

	(void)state;
	r = loader("run", "-l", "foo", "-r", "bar=tcp:*:80", "--", ENVIRONMENT, NULL);
	assert_int_equal(r.status, 0);
	assert_string_equal(r.err, "");
	has_line(r.out, "LD_PRELOAD=", preload_path());
	has_line(r.out, "ISOMER_LABEL=foo", "=foo");
	has_line(r.out, "ISOMER_RULES=bar=tcp:*:80", ":80");
	assert_null(strstr(r.out, "ISOMER_ON_ERROR"));
	command_done(&r);
}

static void what_was_preloaded_before_stays(void **state)
{
	CLEANUP_FREE char *end = NULL;
	struct command_result r;

	(void)state;
	r = command_run(&(struct process_options){
		.argv = (const char *const[]){ loader_path(), "run", "--label", "foo", "--strict",
					       loader_path(), "run", "-l", "foo", "env", NULL },
		.env = (const char *const[]){ "LD_PRELOAD=libc.so.6", "ISOMER_RULES=old=tcp:*:1",
					      NULL } });
	assert_int_equal(r.status, 0);
	assert_true(asprintf(&end, "libc.so.6:%s", preload_path()) > 0);
	has_line(r.out, "LD_PRELOAD=", end); /* once, though run twice */
	has_line(r.out, "ISOMER_ON_ERROR=fail", "=fail");
	assert_null(strstr(r.out, "ISOMER_RULES")); /* of the caller, and not said */
	command_done(&r);
}

static void the_server_is_registered_and_has_the_pid(void **state)
{
	char pid[32];
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = process_start(&(struct process_options){
		.argv = (const char *const[]){ loader_path(), "run", "-l", "foo", "sh", "-c",
					       "echo pid $$; exec \"$0\" \"$@\"",
					       guest_path("server"), "tcp,127.0.0.1,8080",
					       NULL } });
	process_wait_output(p, "ready");
	snprintf(pid, sizeof(pid), "pid %d\n", (int)process_pid(p));
	assert_non_null(strstr(process_stdout(p), pid));
	assert_string_equal(process_stderr(p), "");
	guest_serves("127.0.0.9", 4321, "guest");
	process_stop(p, SIGTERM);
}

static void options_of_the_program_are_its_own(void **state)
{
	struct command_result r;

	(void)state;
	r = loader("run", "-l", "foo", "sh", "-c", "echo $0 $1; exit 3", "--label", "-r", NULL);
	operator_printed(&r, 3, "--label -r\n", NULL);
}

static void a_program_that_cannot_be_executed_is_told_apart(void **state)
{
	struct command_result r;

	(void)state;
	r = loader("run", "-l", "foo", "--", "no-such-program", NULL);
	operator_said(&r, 127, "cannot run 'no-such-program': No such file");
	r = loader("run", "-l", "foo", "--", "/etc/passwd", NULL);
	operator_said(&r, 126, "cannot run '/etc/passwd': Permission denied");
}

static void wrong_usage_starts_nothing(void **state)
{
	struct command_result r;

	(void)state;
	r = operator_shell(0, "unset ISOMER_LABEL ISOMER_RULES; exec \"$0\" run echo started",
			   NULL);
	operator_said(&r, 2, "run needs --label or --rules");
	r = loader("run", "-l", "no label", "echo", "started", NULL);
	operator_said(&r, 2, "'no label'");
	r = loader("run", "-r", "foo=tcp", "echo", "started", NULL);
	operator_said(&r, 2, "rule 1");
	r = loader("run", "-l", "foo", NULL);
	operator_said(&r, 2, "run takes");
}

/* ---- programs that cannot ---- */

/* Runs a program without a dispatcher: it starts all the same, and two lines say why it is not
 * registered; with --strict it does not. */
static void is_not_preloadable(const char *program, const char *why)
{
	struct command_result r;

	/* A guest does not know such a socket, and ends. */
	r = loader("run", "-l", "foo", "--", program, "no-socket", NULL);
	if (!strstr(r.err, why) || !strstr(r.err, "starts all the same"))
		fail_msg("%s: expected '%s', got: %s", program, why, r.err);
	command_done(&r);
	r = loader("run", "-l", "foo", "--strict", "--", program, NULL);
	assert_int_equal(r.status, 1);
	assert_string_equal(r.out, "");
	assert_null(strstr(r.err, "starts all the same"));
	command_done(&r);
}

/* A copy of true(1), changed by a script in which it is $1. */
static char *changed_true(const char *script)
{
	static char path[] = "/tmp/isomer-run-XXXXXX";
	struct command_result r;
	int fd;

	memcpy(path, "/tmp/isomer-run-XXXXXX", sizeof(path));
	fd = mkstemp(path);
	assert_return_code(fd, errno);
	close(fd);
	r = operator_shell(0, "cp /bin/true \"$1\" && chmod 755 \"$1\" && eval \"$2\"", path,
			   script, NULL);
	if (r.status != 0)
		fail_msg("%s: %s", script, r.err);
	command_done(&r);
	return path;
}

static void what_cannot_be_preloaded_is_told_before_it_starts(void **state)
{
	static const struct {
		const char *script, *why;
	} cases[] = {
		{ "printf '#!/usr/bin/env -S A=b sh -e\\nexit 0\\n' >\"$1\"", NULL },
		{ "chown 65534 \"$1\" && chmod 4755 \"$1\"", "gains privileges" },
		{ "sed -i 's|/ld-linux-x86-64.so.2|/ld-musl-x86_64.so.1|; s|/ld-linux-aarch64.so.1|"
		  "/ld-musl--aarch64.so1|' \"$1\"",
		  "another libc" },
		{ "objcopy --add-section .go.buildinfo=/etc/hostname \"$1\"", "is a Go program" },
		{ "printf '\\001' | dd of=\"$1\" bs=1 seek=4 conv=notrunc 2>&1",
		  "another machine or word size" },
	};

	(void)netns_or_skip(state);
	is_not_preloadable(guest_path("static"), "is linked statically");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *path = changed_true(cases[i].script);
		struct command_result r;

		if (cases[i].why) {
			is_not_preloadable(path, cases[i].why);
		} else {
			r = loader("run", "-l", "foo", "--", path, NULL);
			operator_printed(&r, 0, "", NULL);
		}
		unlink(path);
	}
}

/* Waits until the cgroup of the program is gone: what watches over it removes that. */
static void wait_for_removal(const char *path)
{
	for (int i = 0; access(path, F_OK) == 0; i++) {
		if (i == 1000)
			fail_msg("%s is still there", path);
		poll(NULL, 0, 10);
	}
}

/* @name: what the server greets with. */
static void is_registered_by_a_cgroup(void **state, const char *const *argv, const char *name)
{
	CLEANUP(cgroup_done) struct cgroup own = CGROUP_NONE;
	char path[2 * PATH_MAX];
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	assert_int_equal(cgroup_open_own(&own), 0);
	p = process_start(&(struct process_options){ .argv = argv });
	process_wait_output(p, "ready");
	guest_serves("127.0.0.9", 4321, name);
	snprintf(path, sizeof(path), "%s/isomer-run-%d", own.path, (int)process_pid(p));
	assert_return_code(access(path, F_OK), errno);

	process_stop(p, SIGTERM);
	wait_for_removal(path);
	/* The next writer waits for the one that removes the attachment. */
	loader_ok("bind", "foo", "tcp", "127.0.0.1", "80", NULL);
	state_check(netns_or_skip(state));
	guest_refused("127.0.0.9", 4321);
}

static void a_static_program_is_registered_by_a_cgroup_of_its_own(void **state)
{
	const char *argv[] = { loader_path(),        "run", "-l", "foo", "--", guest_path("static"),
			       "tcp,127.0.0.1,8080", NULL };

	is_registered_by_a_cgroup(state, argv, "guest");
}

#ifndef __SANITIZE_ADDRESS__ /* whose runtime is preloaded, and needs glibc */
static void so_is_a_program_of_another_libc(void **state)
{
	const char *argv[] = { loader_path(), "run", "-l", "foo", "--", guest_path("other_libc"),
			       NULL };

	if (access(guest_path("other_libc"), X_OK) < 0)
		skip_or_fail("musl-gcc was not there to build a program");
	is_registered_by_a_cgroup(state, argv, "musl");
}
#endif

/* Limits, capabilities and descriptors of the program, with `run` and without. */
static void a_program_in_a_cgroup_finds_all_as_it_was(void **state)
{
	static const char script[] =
		"look='ulimit -a; grep -E \"^(Cap|Uid|Umask|Sig[^Q])\" /proc/self/status; ls /proc/self/fd'\n"
		"sh=$(mktemp) && chmod 755 \"$sh\" && cp /bin/sh \"$sh\" && objcopy --add-section .go.buildinfo=/etc/hostname "
		"\"$sh\" || exit\n"
		"a=$(\"$sh\" -c \"$look\") b=$(\"$0\" run -l foo -- \"$sh\" -c \"$look\" 2>&1 | tail -n +2)\n"
		"rm \"$sh\"\n"
		"[ \"$a\" = \"$b\" ] || printf '%s\\n---\\n%s\\n' \"$a\" \"$b\"";
	struct command_result r;

	(void)netns_or_skip(state);
	guest_dispatcher();
	r = operator_shell(0, script, NULL);
	assert_string_equal(r.err, "");
	assert_string_equal(r.out, "");
	command_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_program_finds_library_and_variables),
		cmocka_unit_test(what_was_preloaded_before_stays),
		netns_test(the_server_is_registered_and_has_the_pid),
		cmocka_unit_test(options_of_the_program_are_its_own),
		cmocka_unit_test(a_program_that_cannot_be_executed_is_told_apart),
		cmocka_unit_test(wrong_usage_starts_nothing),
		netns_test(what_cannot_be_preloaded_is_told_before_it_starts),
		netns_test(a_static_program_is_registered_by_a_cgroup_of_its_own),
#ifndef __SANITIZE_ADDRESS__
		netns_test(so_is_a_program_of_another_libc),
#endif
		netns_test(a_program_in_a_cgroup_finds_all_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
