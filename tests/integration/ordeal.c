/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/ordeal.h"
#include "state/cleanup.h"
#include "support/state_checker.h"

#define WORKERS 6

/* ---- scenarios ---- */

#define REGISTER_FOO                                                                               \
	"register-pid @pid foo tcp 127.0.0.1 1001", "register-pid @pid foo udp 127.0.0.1 1001"

#define BASE                                                                                       \
	"load --max-destinations 64", "bind foo tcp 127.0.1.1 80", "bind foo udp 127.0.1.1 53",    \
		"bind bar tcp 127.0.1.2 80", REGISTER_FOO,                                         \
		"register-pid @pid bar tcp 127.0.0.1 1002"

#define STEPS(...)                                                                                 \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

const struct scenario scenarios[] = {
	{
		.name = "load_is_whole_or_nothing",
		.command = "load --max-destinations 64",
		.undo = STEPS("unload"),
		.next = "load --max-destinations 64",
	},
	{
		.name = "load_over_a_dead_one_is_whole_or_nothing",
		.command = "load --max-destinations 64",
		.setup = STEPS(BASE, "!detach"),
		.undo = STEPS("bind foo tcp 127.0.1.1 80", "!detach"),
		.remark = ", over a dead one",
		.next = "load --max-destinations 64",
	},
	{
		.name = "unload_is_whole_or_nothing",
		.command = "unload",
		.setup = STEPS(BASE),
		.undo = STEPS(BASE),
		.next = "load --max-destinations 64",
	},
	{
		.name = "bind_of_a_new_label_is_whole_or_nothing",
		.command = "bind new tcp 127.0.1.3 80",
		.setup = STEPS(BASE),
		.undo = STEPS("unbind new tcp 127.0.1.3 80"),
		.set = SYSCALLS_ALL,
	},
	{
		.name = "bind_of_a_label_that_is_there_is_whole_or_nothing",
		.command = "bind foo tcp 127.0.1.3 80",
		.setup = STEPS(BASE),
		.undo = STEPS("unbind foo tcp 127.0.1.3 80"),
	},
	{
		.name = "bind_that_replaces_is_whole_or_nothing",
		.command = "bind --replace bar tcp 127.0.1.1 80",
		.setup = STEPS(BASE),
		.undo = STEPS("bind --replace foo tcp 127.0.1.1 80"),
	},
	{
		.name = "bind_that_ends_another_label_is_whole_or_nothing",
		.command = "bind --replace foo tcp 127.0.1.3 80",
		.setup = STEPS(BASE, "bind ending tcp 127.0.1.3 80"),
		.undo = STEPS("bind --replace ending tcp 127.0.1.3 80"),
	},
	{
		.name = "unbind_of_the_last_binding_is_whole_or_nothing",
		.command = "unbind ending tcp 127.0.1.3 80",
		.setup = STEPS(BASE, "bind ending tcp 127.0.1.3 80"),
		.undo = STEPS("bind ending tcp 127.0.1.3 80"),
		.again = "there is no such binding",
	},
	{
		.name = "load_bindings_is_whole_or_nothing",
		.command = "load-bindings @new",
		.setup = STEPS(BASE, "load-bindings @old"),
		.undo = STEPS("load-bindings @old"),
	},
	{
		.name = "attach_is_whole_or_nothing",
		.command = "attach -l fresh @cgroup",
		.setup = STEPS(BASE),
		.undo = STEPS("detach @cgroup"),
	},
	{
		.name = "detach_is_whole_or_nothing",
		.command = "detach @cgroup",
		.setup = STEPS(BASE, "attach -l fresh @cgroup"),
		.undo = STEPS("attach -l fresh @cgroup"),
		.again = "nothing is attached",
	},
	{
		.name = "grant_is_whole_or_nothing",
		.command = "grant foo 1000:1002",
		.setup = STEPS(BASE),
		.undo = STEPS("revoke foo", REGISTER_FOO),
	},
	{
		.name = "grant_of_a_new_label_is_whole_or_nothing",
		.command = "grant fresh 1000",
		.setup = STEPS(BASE),
		.undo = STEPS("revoke fresh"),
	},
	{
		.name = "grant_to_another_user_is_whole_or_nothing",
		.command = "grant foo 1001",
		.setup = STEPS(BASE, "grant foo 1000"),
		.undo = STEPS("grant foo 1000", REGISTER_FOO),
	},
	{
		.name = "revoke_is_whole_or_nothing",
		.command = "revoke foo",
		.setup = STEPS(BASE, "grant foo 1000:1000"),
		.undo = STEPS("grant foo 1000:1000", REGISTER_FOO),
		.again = "is granted to nobody",
	},
	{
		.name = "register_pid_is_whole_or_nothing",
		.command = "register-pid @pid foo tcp 127.0.0.1 1003",
		.setup = STEPS(BASE),
		.undo = STEPS("unregister foo ipv4 tcp",
			      "register-pid @pid foo tcp 127.0.0.1 1001"),
	},
	{
		.name = "register_pid_under_a_new_label_is_whole_or_nothing",
		.command = "register-pid @pid fresh tcp 127.0.0.1 1003",
		.setup = STEPS(BASE),
		.undo = STEPS("unregister fresh ipv4 tcp"),
	},
	{
		.name = "unregister_is_whole_or_nothing",
		.command = "unregister foo ipv4 tcp",
		.setup = STEPS(BASE, "register-pid @pid foo tcp 127.0.0.1 1003"),
		.undo = STEPS("register-pid @pid foo tcp 127.0.0.1 1001",
			      "register-pid @pid foo tcp 127.0.0.1 1003"),
		.again = "no socket is registered",
	},
	{
		.name = "upgrade_is_whole_or_nothing",
		.command = "upgrade",
		.setup = STEPS(BASE, "grant foo 1000"),
	},
	{
		.name = "upgrade_to_more_room_is_whole_or_nothing",
		.command = "upgrade --max-destinations 128",
		.setup = STEPS(BASE, "grant foo 1000"),
		.undo = STEPS("unload", BASE, "grant foo 1000"),
	},
	{
		.name = "upgrade_to_more_room_is_mended_by_an_upgrade",
		.command = "upgrade --max-destinations 128",
		.setup = STEPS(BASE),
		.undo = STEPS("unload", BASE),
		.remark = ", mended by upgrade",
		.next = "upgrade",
	},
};

const size_t n_scenarios = sizeof(scenarios) / sizeof(*scenarios);

/* ---- what the ordeals share ---- */

/* How many points of a command were tried. Shared among the workers, which run the same tests in
 * the same order. */
struct report {
	char command[128];
	_Atomic unsigned int points;
};
#define REPORTS_MAX 40
static const struct ordeal *ordeal;
static struct report *reports;
static int worker, n_reports;

char ordeal_where[256];

void check_either(const char *seen, const char *old, const char *fresh)
{
	if (strcmp(seen, old) && strcmp(seen, fresh))
		fail_msg("neither the old state nor the new one\n%s\nold:\n%s\nnew:\n%s", seen, old,
			 fresh);
}

void check_same(const char *seen, const char *wanted)
{
	if (strcmp(seen, wanted))
		fail_msg("is\n%s\nshould be\n%s", seen, wanted);
}

/* Also one that makes no new index, which would clear the former away by itself. */
void check_mended(const struct world *w, const struct scenario *s, unsigned int k, const char *seen)
{
	char text[TEXT_SIZE];

	run_ok(w, s->next ? s->next : k % 2 ? "bind next udp 127.9.9.9 9" : "grant next 1000");
	state_check(w->ns);
	check_nothing_beside(w);
	if (s->next)
		return;
	run_ok(w, k % 2 ? "unbind next udp 127.9.9.9 9" : "revoke next");
	observe(w, text);
	check_same(text, seen);
}

void give_again(const struct scenario *s)
{
	CLEANUP(command_done) struct command_result r = run(s->command);

	if (r.status != 0 && !(r.status == 1 && s->again && strstr(r.err, s->again)))
		fail_msg("given again: exit status %d\n%s%s", r.status, r.out, r.err);
}

static void take_baseline(const struct world *w, const struct scenario *s, struct baseline *b)
{
	char text[TEXT_SIZE];

	run_all(w, s->setup);
	observe(w, b->old);
	run_ok(w, s->command);
	observe(w, b->fresh);
	describe(w, b->fresh_whole);
	run_all(w, s->undo);
	observe(w, text);
	check_same(text, b->old);
}

static bool every_call(void)
{
	return getenv("ISOMER_TEST_EVERY_CALL");
}

enum syscall_set ordeal_calls(const struct scenario *s)
{
	return every_call() ? SYSCALLS_ALL : s->set;
}

static void note(struct report *report, const struct scenario *s, unsigned int points)
{
	if (worker == 0)
		snprintf(report->command, sizeof(report->command), "%s%s%s", s->command,
			 s->remark ? s->remark : "",
			 ordeal_calls(s) == SYSCALLS_ALL ? ", every call" : "");
	report->points += points;
}

static void put_through(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	const struct scenario *s = &scenarios[n_reports];
	struct report *report = &reports[n_reports++];
	static struct baseline baseline;
	struct world w;
	unsigned int stride = every_call() ? 1 : ordeal->stride, points = 0;
	unsigned int k = (unsigned int)worker * stride + 1;

	assert_in_range(n_reports, 1, REPORTS_MAX);
	world_open(&w, ns);
	snprintf(ordeal_where, sizeof(ordeal_where), "'%s', undisturbed", s->command);
	take_baseline(&w, s, &baseline);
	for (; ordeal->at(&w, s, &baseline, k); k += WORKERS * stride)
		points++;
	ordeal_where[0] = '\0';
	note(report, s, points);
	world_close(&w);
}

/* ---- workers ---- */

static int say_where(void **state)
{
	if (ordeal_where[0])
		print_error("%s\n", ordeal_where);
	ordeal_where[0] = '\0';
	return netns_teardown(state);
}

static int run_group(void)
{
	struct CMUnitTest tests[REPORTS_MAX];

	for (size_t i = 0; i < n_scenarios; i++)
		tests[i] = (struct CMUnitTest){ .name = scenarios[i].name,
						.test_func = put_through,
						.setup_func = netns_setup,
						.teardown_func = say_where };
	return _cmocka_run_group_tests("commands", tests, n_scenarios, NULL, NULL);
}

/* Its output goes to a file: that of several at once is hard to read. */
static pid_t start_worker(int number, FILE *output)
{
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ||
	    dup2(fileno(output), STDOUT_FILENO) < 0 || dup2(fileno(output), STDERR_FILENO) < 0)
		_exit(127);
	worker = number;
	exit(run_group() ? EXIT_FAILURE : EXIT_SUCCESS);
}

static void print_file(FILE *f)
{
	char line[1024];

	rewind(f);
	while (fgets(line, sizeof(line), f))
		fputs(line, stdout);
}

static void print_reports(void)
{
	unsigned int sum = 0;

	for (int i = 0; i < REPORTS_MAX; i++) {
		if (!reports[i].command[0])
			continue;
		sum += reports[i].points;
		printf("%4u %s: %s\n", reports[i].points, ordeal->points, reports[i].command);
	}
	printf("%4u in all\n", sum);
}

int ordeal_main(const struct ordeal *o)
{
	FILE *output[WORKERS];
	pid_t pid[WORKERS];
	bool failed = false;

	ordeal = o;
	reports = mmap(NULL, REPORTS_MAX * sizeof(*reports), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (reports == MAP_FAILED)
		return EXIT_FAILURE;
	fflush(stdout); /* or each worker prints it too */
	for (int i = 0; i < WORKERS; i++) {
		output[i] = tmpfile();
		if (!output[i])
			return EXIT_FAILURE;
		pid[i] = start_worker(i, output[i]);
	}
	for (int i = 0; i < WORKERS; i++) {
		int status = -1;
		bool ok = pid[i] > 0 && waitpid(pid[i], &status, 0) == pid[i] && status == 0;

		failed = failed || !ok;
		/* All of them print the same while nothing fails. */
		if (i == 0 || !ok)
			print_file(output[i]);
		fclose(output[i]);
	}
	print_reports();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
