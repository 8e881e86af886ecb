/* SPDX-License-Identifier: BSD-3-Clause */
/* Several commands at once. Where it matters which of them is where, one is held before a certain
 * system call while others run; nothing is left to chance.
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "state/cleanup.h"
#include "support/netns.h"
#include "support/process.h"
#include "support/state_checker.h"
#include "support/syscall_killer.h"

/* Where a program finds the descriptor that it is passed. */
#define PASSED "/proc/self/fd/3"

#define ARGV(...)                                                                                  \
	(const char *const[])                                                                      \
	{                                                                                          \
		loader_path(), __VA_ARGS__, NULL                                                   \
	}

static int file_of(const char *text)
{
	int fd = memfd_create("bindings", MFD_CLOEXEC);

	assert_return_code(fd, errno);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static void load_bindings(int file)
{
	CLEANUP(command_done) struct command_result r = command_run(&(struct process_options){
		.argv = ARGV("--wait", "60", "load-bindings", PASSED), .pass_fd = file });

	if (r.status)
		fail_msg("load-bindings: exit status %d\n%s%s", r.status, r.out, r.err);
}

static bool has_ended(const struct process *p)
{
	siginfo_t info = { 0 };

	assert_return_code(waitid(P_PID, (id_t)process_pid(p), &info, WEXITED | WNOHANG | WNOWAIT),
			   errno);
	return info.si_pid != 0;
}

static void ends_well(struct process **p)
{
	int status = process_wait(*p);

	if (status)
		fail_msg("exit status %d\n%s%s", status, process_stdout(*p), process_stderr(*p));
	process_stopp(p);
}

/* ---- many writers ---- */

#define EACH 32 /* so many bind, and as many unbind */

/* Label u7 has 10.0.0.7, label b7 has 10.1.0.7. */
struct change_name {
	char label[8], prefix[16];
};

static struct change_name name_of(bool comes, int i)
{
	struct change_name name;

	snprintf(name.label, sizeof(name.label), "%c%d", comes ? 'b' : 'u', i);
	snprintf(name.prefix, sizeof(name.prefix), "10.%d.0.%d", comes, i);
	return name;
}

/* Fails unless each line of `bindings` has the label that belongs to its prefix. Returns how many
 * there are. */
static unsigned int check_table(const char *table)
{
	unsigned int n = 0, kind, i;
	char label[16], kind_seen;
	const char *line = table;

	for (; line; line = strchr(line, '\n'), line += line != NULL) {
		struct change_name name;

		if (sscanf(line, " tcp 10.%u.0.%u/32 80 %15s", &kind, &i, label) != 3)
			continue;
		name = name_of(kind == 1, (int)i);
		if (strcmp(label, name.label))
			fail_msg("10.%u.0.%u is %s's\n%s", kind, i, label, table);
		kind_seen = label[0];
		assert_true(kind_seen == (kind ? 'b' : 'u'));
		n++;
	}
	return n;
}

static void read_while_running(struct process **writers, int n)
{
	int ended = 0, reads = 0;

	while (ended < n) {
		CLEANUP(command_done) struct command_result bindings = loader("bindings", NULL);
		CLEANUP(command_done) struct command_result status = loader("status", NULL);

		if (bindings.status || status.status)
			fail_msg("a reader failed\n%s%s", bindings.err, status.err);
		assert_in_range(check_table(bindings.out), 0, 2 * EACH);
		assert_in_range(check_table(status.out), 0, 2 * EACH);
		reads += 2;
		while (ended < n && has_ended(writers[ended]))
			ended++;
	}
	print_message("%d readers meanwhile\n", reads);
}

static void many_writers_lose_nothing(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	struct process *writers[2 * EACH];
	struct state_summary summary;
	CLEANUP(command_done) struct command_result r = { 0 };
	CLEANUP_FD int file = -1;
	char text[EACH * 96] = "{\"bindings\": [";

	loader_ok("load", "--max-destinations", "512", NULL);
	for (int i = 0; i < EACH; i++) {
		struct change_name name = name_of(false, i);
		size_t used = strlen(text);

		snprintf(text + used, sizeof(text) - used,
			 "{\"label\": \"%s\", \"prefix\": \"%s\", \"port\": 80, "
			 "\"protocol\": \"tcp\"}%s",
			 name.label, name.prefix, i < EACH - 1 ? "," : "]}");
	}
	file = file_of(text);
	load_bindings(file);

	for (int i = 0; i < 2 * EACH; i++) {
		bool comes = i % 2;
		struct change_name name = name_of(comes, i / 2);

		writers[i] = process_start(&(struct process_options){
			.argv = ARGV("--wait", "60", comes ? "bind" : "unbind", name.label, "tcp",
				     name.prefix, "80") });
	}
	read_while_running(writers, 2 * EACH);
	for (int i = 0; i < 2 * EACH; i++)
		ends_well(&writers[i]);

	summary = state_check(ns);
	assert_int_equal(summary.bindings, EACH);
	assert_int_equal(summary.labels, EACH);
	r = loader("bindings", NULL);
	assert_int_equal(check_table(r.out), EACH);
	assert_null(strstr(r.out, " 10.0."));
}

/* ---- readers see one set ---- */

/* Sets of which nothing may be mixed. Each is made while the one before is there, so the third one
 * gets the ids of the first. */
#define SETS 3

static const char *const sets[SETS] = {
	"{\"bindings\": [{\"label\": \"a1\", \"prefix\": \"10.0.0.1\", \"port\": 80},"
	"{\"label\": \"a2\", \"prefix\": \"10.0.0.2\", \"port\": 80}]}",
	"{\"bindings\": [{\"label\": \"b1\", \"prefix\": \"10.0.0.1\", \"port\": 80},"
	"{\"label\": \"b2\", \"prefix\": \"10.0.0.3\", \"port\": 80}]}",
	"{\"bindings\": [{\"label\": \"c1\", \"prefix\": \"10.0.0.2\", \"port\": 80},"
	"{\"label\": \"c2\", \"prefix\": \"10.0.0.3\", \"port\": 80}]}",
};

struct cycle {
	int file[SETS], now;
};

static void cycle_begin(struct cycle *c)
{
	loader_ok("load", "--max-destinations", "64", NULL);
	for (int i = 0; i < SETS; i++)
		c->file[i] = file_of(sets[i]);
	c->now = 0;
	load_bindings(c->file[0]);
}

static void cycle_next(struct cycle *c)
{
	c->now = (c->now + 1) % SETS;
	load_bindings(c->file[c->now]);
}

static void cycle_end(struct cycle *c)
{
	for (int i = 0; i < SETS; i++)
		close(c->file[i]);
}

/* Fails unless @r is an answer of `bindings` that is one of the @texts. */
static void check_answer(const struct command_result *r, char *const texts[SETS], const char *when)
{
	if (r->status)
		fail_msg("%s: exit status %d\n%s", when, r->status, r->err);
	for (int i = 0; i < SETS; i++)
		if (strstr(r->out, texts[i]) == r->out)
			return;
	fail_msg("%s, a reader saw a set that never was\n%s", when, r->out);
}

static void read_texts(struct cycle *c, char *ret[SETS])
{
	for (int i = 0; i < SETS; i++) {
		struct command_result r = loader("bindings", NULL);

		assert_int_equal(r.status, 0);
		ret[c->now] = TAKE_PTR(r.out);
		command_done(&r);
		cycle_next(c);
	}
}

/* Holds the reader before every @step-th call in turn, and lets @changes writers work meanwhile. */
static void hold_reader(const char *command, unsigned int step, int changes)
{
	struct cycle c;
	char *texts[SETS], when[96];
	unsigned int k = 1;
	bool held = true;

	cycle_begin(&c);
	read_texts(&c, texts);
	for (; held; k += step) {
		CLEANUP(command_done) struct command_result r = { 0 };
		struct traced *t = traced_start(ARGV(command), SYSCALLS_ALL);

		held = traced_run_to(t, k);
		snprintf(when, sizeof(when), "%d changes before call %u, %s", changes, k,
			 traced_call(t));
		for (int i = 0; i < changes; i++)
			cycle_next(&c);
		r = traced_finish(t);
		check_answer(&r, texts, when);
	}
	print_message("%s: held up to call %u\n", command, k - 2 * step);
	for (int i = 0; i < SETS; i++)
		free(texts[i]);
	cycle_end(&c);
}

static void bindings_shows_one_set_when_a_writer_is_faster(void **state)
{
	(void)netns_or_skip(state);
	hold_reader("bindings", 1, 1);
}

static void bindings_shows_one_set_when_two_writers_are_faster(void **state)
{
	(void)netns_or_skip(state);
	hold_reader("bindings", 1, 2);
}

static void status_shows_one_set_when_two_writers_are_faster(void **state)
{
	(void)netns_or_skip(state);
	hold_reader("status", 4, 2);
}

#define SWAPS 60

static void readers_see_pairs_only(void **state)
{
	struct cycle c;
	char *texts[SETS];
	struct process *writer = NULL;
	int swaps = 0, reads = 0;

	(void)netns_or_skip(state);
	cycle_begin(&c);
	read_texts(&c, texts);
	while (swaps < SWAPS || writer) {
		CLEANUP(command_done) struct command_result r = { 0 };

		if (!writer) {
			c.now = (c.now + 1) % SETS;
			writer = process_start(&(struct process_options){
				.argv = ARGV("load-bindings", PASSED), .pass_fd = c.file[c.now] });
			swaps++;
		}
		r = loader(reads % 2 ? "status" : "bindings", NULL);
		check_answer(&r, texts, "while bindings are replaced");
		reads++;
		if (has_ended(writer))
			ends_well(&writer);
	}
	print_message("%d readers while bindings were replaced %d times\n", reads, swaps);
	for (int i = 0; i < SETS; i++)
		free(texts[i]);
	cycle_end(&c);
}

/* ---- stopped processes ---- */

static void stopped_reader_blocks_no_writer(void **state)
{
	static const char *const readers[] = { "bindings", "status" };
	const struct netns_fixture *ns = netns_or_skip(state);
	unsigned int held = 0;

	loader_ok("load", "--max-destinations", "64", NULL);
	loader_ok("bind", "first", "tcp", "10.0.0.1", "80", NULL);
	for (unsigned int k = 1; k < 200; k += 7) {
		const char *reader = readers[k % 2];
		CLEANUP(command_done) struct command_result r = { 0 };
		struct traced *t = traced_start(ARGV(reader), SYSCALLS_ALL);

		if (traced_run_to(t, k)) {
			traced_suspend(t);
			held++;
		}
		loader_ok("--wait", "0", "bind", "second", "tcp", "10.0.0.2", "80", NULL);
		loader_ok("--wait", "0", "upgrade", NULL);
		loader_ok("--wait", "0", "unbind", "second", "tcp", "10.0.0.2", "80", NULL);
		r = traced_finish(t);
		if (r.status)
			fail_msg("%s, stopped before call %u: %d %s", reader, k, r.status, r.err);
	}
	assert_in_range(held, 3, 200);
	state_check(ns);
}

/* One line on stderr that names the process. */
static void check_names_holder(const struct command_result *r, pid_t holder)
{
	char pid[32];

	snprintf(pid, sizeof(pid), "pid %d)", (int)holder);
	assert_int_equal(r->status, 1);
	if (!strstr(r->err, pid) || strchr(r->err, '\n') != r->err + strlen(r->err) - 1)
		fail_msg("does not name '%s' in one line: %s", pid, r->err);
	assert_string_equal(r->out, "");
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* A writer that has the lock, stopped by SIGSTOP. */
static struct traced *stopped_writer(void)
{
	struct traced *t =
		traced_start(ARGV("bind", "slow", "tcp", "10.0.0.9", "80"), SYSCALLS_CHANGING);

	assert_true(traced_run_to(t, 1));
	assert_string_equal(traced_call(t), "flock");
	assert_true(traced_run_to(t, 2));
	traced_suspend(t);
	return t;
}

static void writer_gives_up_waiting_and_names_who_keeps_it(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP(command_done) struct command_result r = { 0 }, slow = { 0 };
	struct traced *t;
	double begin;

	loader_ok("load", "--max-destinations", "64", NULL);
	t = stopped_writer();
	begin = seconds();
	r = loader("--wait", "1", "bind", "quick", "tcp", "10.0.0.1", "80", NULL);
	check_names_holder(&r, traced_pid(t));
	assert_true(seconds() - begin >= 0.99);
	assert_true(seconds() - begin < 9); /* and not the default */
	loader_ok("bindings", NULL);
	loader_ok("status", NULL);

	slow = traced_finish(t);
	assert_int_equal(slow.status, 0);
	loader_ok("--wait", "0", "bind", "quick", "tcp", "10.0.0.1", "80", NULL);
	assert_int_equal(state_check(ns).bindings, 2);
}

static void no_writer_goes_past_a_writer(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *before = NULL;
	CLEANUP_FD int file = file_of(sets[0]);
	CLEANUP(command_done) struct command_result slow = { 0 };
	char path[64];
	struct traced *t;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	loader_ok("load", "--max-destinations", "64", NULL);
	loader_ok("bind", "web", "tcp", "10.0.0.1", "80", NULL);
	t = stopped_writer();
	before = state_dump(ns->bpffs);
	const char *const *const writers[] = {
		ARGV("--wait", "0", "unload"),
		ARGV("--wait", "0", "upgrade"),
		ARGV("--wait", "0", "bind", "x", "tcp", "10.0.0.3", "80"),
		ARGV("--wait", "0", "unbind", "web", "tcp", "10.0.0.1", "80"),
		ARGV("--wait", "0", "load-bindings", PASSED),
		ARGV("--wait", "0", "grant", "web", "1000"),
		ARGV("--wait", "0", "revoke", "web"),
		ARGV("--wait", "0", "unregister", "web", "ipv4", "tcp"),
	};
	for (size_t i = 0; i < sizeof(writers) / sizeof(*writers); i++) {
		CLEANUP(command_done) struct command_result r = command_run(
			&(struct process_options){ .argv = writers[i], .pass_fd = file });

		check_names_holder(&r, traced_pid(t));
	}
	state_is_still(ns->bpffs, before);
	slow = traced_finish(t);
	assert_int_equal(slow.status, 0);
	assert_int_equal(state_check(ns).bindings, 2);
}

/* ---- writers that had to wait ---- */

/* Held when it has looked at the state and does not have the lock yet. */
static struct traced *waiting_writer(const char *const *argv)
{
	struct traced *t = traced_start(argv, SYSCALLS_CHANGING);

	assert_true(traced_run_to(t, 1));
	assert_string_equal(traced_call(t), "flock");
	return t;
}

static void finishes_well(struct traced *t)
{
	CLEANUP(command_done) struct command_result r = traced_finish(t);

	if (r.status)
		fail_msg("a writer that waited: exit status %d\n%s%s", r.status, r.out, r.err);
}

static void upgrade_that_waited_keeps_the_room_that_was_made(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	struct traced *t;

	loader_ok("load", "--max-destinations", "8", NULL);
	t = waiting_writer(ARGV("upgrade"));
	loader_ok("upgrade", "--max-destinations", "64", NULL);
	finishes_well(t);
	assert_int_equal(state_check(ns).max_destinations, 64);
}

static void bind_that_waited_uses_the_room_that_was_made(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	struct traced *t;

	loader_ok("load", "--max-destinations", "4", NULL);
	loader_ok("bind", "a", "tcp", "10.0.0.1", "80", NULL);
	t = waiting_writer(ARGV("bind", "b", "tcp", "10.0.0.2", "80"));
	loader_ok("upgrade", "--max-destinations", "64", NULL);
	finishes_well(t);
	assert_int_equal(state_check(ns).bindings, 2);
}

static void writer_that_waited_knows_labels_in_the_room_that_was_made(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	char label[16], prefix[16];
	struct traced *t;

	loader_ok("load", "--max-destinations", "4", NULL);
	t = waiting_writer(ARGV("bind", "label0", "tcp", "10.1.0.0", "80"));
	loader_ok("upgrade", "--max-destinations", "4096", NULL);
	for (int i = 0; i < 12; i++) {
		snprintf(label, sizeof(label), "label%d", i);
		snprintf(prefix, sizeof(prefix), "10.0.0.%d", i);
		loader_ok("bind", label, "tcp", prefix, "80", NULL);
	}
	finishes_well(t);
	assert_int_equal(state_check(ns).bindings, 13);
	assert_int_equal(state_check(ns).labels, 12);
}

static void reader_that_was_held_knows_labels_in_the_room_that_was_made(void **state)
{
	CLEANUP(command_done) struct command_result r = { 0 };
	bool held = true;

	(void)netns_or_skip(state);
	for (unsigned int k = 1; held; k += 3) {
		struct traced *t;

		loader_ok("load", "--max-destinations", "4", NULL);
		loader_ok("bind", "a", "tcp", "10.0.0.1", "80", NULL);
		t = traced_start(ARGV("bindings"), SYSCALLS_ALL);
		held = traced_run_to(t, k);
		loader_ok("upgrade", "--max-destinations", "64", NULL);
		loader_ok("bind", "b", "tcp", "10.0.0.2", "80", NULL);
		r = traced_finish(t);
		if (r.status || strstr(r.out, "?"))
			fail_msg("held before call %u: exit status %d\n%s%s", k, r.status, r.out,
				 r.err);
		command_done(&r);
		loader_ok("unload", NULL);
	}
}

/* Does what others let it do; it does not wait for them. */
static bool attempt(const char *const *argv)
{
	CLEANUP(command_done) struct command_result r =
		command_run(&(struct process_options){ .argv = argv });

	assert_in_range(r.status, 0, 1);
	return r.status == 0;
}

/* @t, a `load`, goes on. What stands by then has to stand. */
static void load_goes_on(const struct netns_fixture *ns, struct traced *t, unsigned int k,
			 bool bound)
{
	CLEANUP(command_done) struct command_result r = traced_finish(t), b = { 0 };

	b = loader("bindings", NULL);
	if (r.status || b.status || (bound && !strstr(b.out, "10.0.0.1/32")))
		fail_msg("load held before call %u: %d %s%s\nbindings: %d %s%s", k, r.status, r.out,
			 r.err, b.status, b.out, b.err);
	state_check(ns);
}

static void load_removes_nothing_that_was_upgraded_meanwhile(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	unsigned int upgrades = 0;
	bool held = true;

	loader_ok("load", "--max-destinations", "64", NULL);
	loader_ok("bind", "web", "tcp", "10.0.0.1", "80", NULL);
	for (unsigned int k = 1; held; k++) {
		struct traced *t = traced_start(ARGV("load"), SYSCALLS_ALL);

		held = traced_run_to(t, k);
		upgrades += attempt(ARGV("--wait", "0", "upgrade"));
		load_goes_on(ns, t, k, true);
	}
	assert_in_range(upgrades, 1, UINT_MAX);
}

/* Leaves a dispatcher that is detached, and not removed. */
static void unload_half_way(void)
{
	struct traced *t = traced_start(ARGV("unload"), SYSCALLS_CHANGING);

	do
		assert_true(traced_run_to(t, traced_count(t) + 1));
	while (strncmp(traced_call(t), "rename", 6));
	traced_kill(t);
}

static void load_removes_nothing_that_was_loaded_meanwhile(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	unsigned int n_bound = 0;
	bool held = true, bound;

	loader_ok("load", "--max-destinations", "64", NULL);
	for (unsigned int k = 1; held; k++) {
		struct traced *t;

		unload_half_way();
		t = traced_start(ARGV("load"), SYSCALLS_CHANGING);
		held = traced_run_to(t, k);
		bound = attempt(ARGV("--wait", "0", "load", "--max-destinations", "64")) &&
			attempt(ARGV("--wait", "0", "bind", "web", "tcp", "10.0.0.1", "80"));
		load_goes_on(ns, t, k, bound);
		n_bound += bound;
	}
	assert_in_range(n_bound, 1, UINT_MAX);
}

/* The lock that it waits for may be that of a dispatcher that has gone. */
static void writer_that_waited_across_a_reload_has_the_new_lock(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP(command_done) struct command_result r = { 0 }, waited = { 0 };
	struct traced *t;

	loader_ok("load", "--max-destinations", "64", NULL);
	t = waiting_writer(ARGV("bind", "waited", "tcp", "10.0.0.1", "80"));
	loader_ok("unload", NULL);
	loader_ok("load", "--max-destinations", "128", NULL);
	/* It either gives up, or keeps others out once it is about to make its label. */
	while (traced_run_to(t, traced_count(t) + 1))
		if (!strcmp(traced_call(t), "mkdir"))
			break;
	r = loader("--wait", "0", "bind", "other", "tcp", "10.0.0.2", "80", NULL);
	waited = traced_finish(t);
	if (waited.status == 0 && r.status == 0)
		fail_msg("two writers at once");
	state_check(ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(many_writers_lose_nothing),
		netns_test(bindings_shows_one_set_when_a_writer_is_faster),
		netns_test(bindings_shows_one_set_when_two_writers_are_faster),
		netns_test(status_shows_one_set_when_two_writers_are_faster),
		netns_test(readers_see_pairs_only),
		netns_test(stopped_reader_blocks_no_writer),
		netns_test(writer_gives_up_waiting_and_names_who_keeps_it),
		netns_test(no_writer_goes_past_a_writer),
		netns_test(upgrade_that_waited_keeps_the_room_that_was_made),
		netns_test(bind_that_waited_uses_the_room_that_was_made),
		netns_test(writer_that_waited_knows_labels_in_the_room_that_was_made),
		netns_test(reader_that_was_held_knows_labels_in_the_room_that_was_made),
		netns_test(load_removes_nothing_that_was_upgraded_meanwhile),
		netns_test(load_removes_nothing_that_was_loaded_meanwhile),
		netns_test(writer_that_waited_across_a_reload_has_the_new_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
