/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that change nothing, with one of their system calls or allocations failing, each in
 * turn: they print what they print otherwise, or say what is wrong.
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/no_memory.h"
#include "integration/world.h"
#include "state/cleanup.h"
#include "support/state_checker.h"
#include "support/syscall_killer.h"

static const char *const commands[] = {
	"status",
	"status --json",
	"bindings",
	"bindings --json",
	"metrics --once",
	"explain tcp 127.0.1.1 80",
	"explain --json udp 127.0.1.1 53",
	"load-bindings --dry-run @new",
	"version",
	"doctor",
};

/* `doctor` takes what fails for what the machine lacks: it finds something about everything. */
static bool is_diagnosis(const struct command_result *r)
{
	static const char *const begins[] = { "good  ", "note  ", "bad   ", "      " };
	size_t lines = 0;

	for (const char *line = r->out; *line; line = strchr(line, '\n') + 1, lines++) {
		bool known = false;

		for (size_t i = 0; i < sizeof(begins) / sizeof(*begins); i++)
			known = known || !strncmp(line, begins[i], strlen(begins[i]));
		if (!known || !strchr(line, '\n'))
			return false;
	}
	return (r->status == 0 || r->status == 1) && lines > 0;
}

/* @whole: what it prints when nothing fails. `explain` leaves out what it cannot find out about the
 * socket, and says so in its place: what begins its answer is there. */
static void check_answer(const struct command_result *r, const char *whole, const char *command,
			 const char *what, unsigned int n)
{
	size_t len = strncmp(command, "explain", 7) ? SIZE_MAX : strcspn(whole, "\n");
	bool good = r->status == 0 && !strncmp(r->out, whole, len);

	good = good || (!strcmp(command, "doctor") && is_diagnosis(r));
	good = good || (r->status == 1 && !strncmp(r->err, "isomer-loader: ", 15));
	if (!good)
		fail_msg("'%s' whose %s %u failed: exit status %d\n%s%s", command, what, n,
			 r->status, r->err, r->out);
}

/* Both return false when the command came to its end before number @n. */

/* A sanitizer's runtime takes a failure of its own calls for the end of the program. */
#ifndef __SANITIZE_ADDRESS__
static bool fail_call(const char *command, const char *whole, unsigned int n)
{
	CLEANUP(command_done) struct command_result r = { 0 };
	struct words words;
	struct traced *t;
	bool failed;

	words_of(command, &words);
	t = traced_start(words.argv, SYSCALLS_ALL);
	failed = traced_run_to(t, n);
	if (failed)
		traced_fail(t, ENOMEM);
	r = traced_finish(t);
	check_answer(&r, whole, command, "call", n);
	return failed;
}
#endif

static bool fail_allocation(const char *command, const char *whole, unsigned int n)
{
	CLEANUP(command_done) struct command_result r = { 0 };
	CLEANUP(no_memory_done) struct no_memory m;
	struct words words;

	no_memory_at(n, &m);
	words_of(command, &words);
	r = command_run(&(struct process_options){
		.argv = words.argv,
		.env = m.env,
		.pass_fd = m.note,
	});
	check_answer(&r, whole, command, "allocation", n);
	return no_memory_came(&m);
}

static void fail_everywhere(const struct netns_fixture *ns,
			    bool (*fail_at)(const char *, const char *, unsigned int))
{
	CLEANUP_FREE char *before = NULL;
	unsigned int points = 0;
	struct world w;

	world_open(&w, ns);
	loader_ok("load", "--max-destinations", "64", NULL);
	run_ok(&w, "load-bindings @old");
	run_ok(&w, "register-pid @pid foo tcp 127.0.0.1 1001");
	before = state_dump(ns->bpffs);
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		CLEANUP(command_done) struct command_result whole = run(commands[i]);

		if (whole.status != 0)
			fail_msg("%s: %s", commands[i], whole.err);
		for (unsigned int n = 1; fail_at(commands[i], whole.out, n); n++)
			points++;
	}
	printf("%u that fail\n", points);
	assert_true(points > sizeof(commands) / sizeof(*commands));
	state_is_still(ns->bpffs, before);
	world_close(&w);
}

#ifndef __SANITIZE_ADDRESS__
static void a_call_that_fails_is_told(void **state)
{
	fail_everywhere(netns_or_skip(state), fail_call);
}
#endif

static void an_allocation_that_fails_is_told(void **state)
{
	fail_everywhere(netns_or_skip(state), fail_allocation);
}

static int test_readers(void)
{
	const struct CMUnitTest tests[] = {
#ifndef __SANITIZE_ADDRESS__
		netns_test(a_call_that_fails_is_told),
#endif
		netns_test(an_allocation_that_fails_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Among processes of its own: `explain` looks for a socket's owner among all that it sees. */
int main(void)
{
	int status = 0;
	pid_t pid;

	if (unshare(CLONE_NEWNS | CLONE_NEWPID) < 0)
		return test_readers(); /* which say that they may not do such things */
	pid = fork();
	if (pid == 0) {
		if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("proc", "/proc", "proc", 0, NULL) < 0)
			_exit(127);
		exit(test_readers());
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return EXIT_FAILURE;
	/* Not by exit(): a leak sanitizer makes a thread there, which there is no place for any
	 * more. */
	_exit(WEXITSTATUS(status));
}
