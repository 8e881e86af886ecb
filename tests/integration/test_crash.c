/* SPDX-License-Identifier: BSD-3-Clause */
/* Every command that changes something, killed between any two of its system calls: what was in
 * force is in force, or what was wanted is; the next writer mends the rest; and the command can be
 * given again.
 *
 * The kill points of a command are shared out among a few processes, each with namespaces of its
 * own, as most of the time goes into waiting for the kernel.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
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
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "state/bpfsys.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"
#include "support/process.h"
#include "support/state_checker.h"
#include "support/syscall_killer.h"

#define WORKERS   6
#define TEXT_SIZE 4096

/* ---- the world: servers, clients, and what an operator sees ---- */

enum server { FOO, BAR, SECOND_FOO, OTHER, SERVERS };

/* How a verdict is written: who serves, or '-' for a refusal. */
static const char letters[] = "fbs*";

struct world {
	const struct netns_fixture *ns;
	int tcp[SERVERS], udp[SERVERS];
};

/* The contents of "@old" and "@new" in a command. They lie in a file system that ends with the
 * namespaces of the test. */
#define FILES "/mnt"
static const char *const files[] = {
	"{\"bindings\": ["
	"{\"label\": \"foo\", \"prefix\": \"127.0.1.1\", \"port\": 80, \"protocol\": \"tcp\"},"
	"{\"label\": \"foo\", \"prefix\": \"127.0.1.1\", \"port\": 53, \"protocol\": \"udp\"},"
	"{\"label\": \"bar\", \"prefix\": \"127.0.1.2\", \"port\": 80, \"protocol\": \"tcp\"},"
	"{\"label\": \"going\", \"prefix\": \"127.0.1.3\", \"port\": 80, \"protocol\": \"tcp\"},"
	"{\"label\": \"going2\", \"prefix\": \"127.0.1.3\", \"port\": 0}]}",
	"{\"bindings\": ["
	"{\"label\": \"bar\", \"prefix\": \"127.0.1.1\", \"port\": 80, \"protocol\": \"tcp\"},"
	"{\"label\": \"foo\", \"prefix\": \"127.0.1.2\", \"port\": 80, \"protocol\": \"tcp\"},"
	"{\"label\": \"coming\", \"prefix\": \"127.0.1.1\", \"port\": 53, \"protocol\": \"udp\"},"
	"{\"label\": \"foo\", \"prefix\": \"127.0.1.3\", \"port\": 80, \"protocol\": \"tcp\"},"
	"{\"label\": \"coming2\", \"prefix\": \"::1\", \"port\": 0}]}",
};

static void world_open(struct world *w, const struct netns_fixture *ns)
{
	static const uint16_t ports[SERVERS] = { 1001, 1002, 1003, 80 };

	w->ns = ns;
	for (int i = 0; i < SERVERS; i++) {
		const char *ip = i == OTHER ? "0.0.0.0" : "127.0.0.1";

		w->tcp[i] = tcp_listen(ip, ports[i]);
		w->udp[i] = udp_bind(ip, i == OTHER ? 53 : ports[i]);
		assert_return_code(w->tcp[i], -w->tcp[i]);
		assert_return_code(w->udp[i], -w->udp[i]);
	}
	assert_return_code(mount("test", FILES, "tmpfs", 0, NULL), errno);
	for (int i = 0; i < 2; i++) {
		FILE *f = fopen(i ? FILES "/new" : FILES "/old", "we");

		assert_non_null(f);
		assert_int_equal(fputs(files[i], f) < 0, 0);
		assert_int_equal(fclose(f), 0);
	}
}

static void world_close(struct world *w)
{
	for (int i = 0; i < SERVERS; i++) {
		close(w->tcp[i]);
		close(w->udp[i]);
	}
}

static char verdict(int who)
{
	if (who == -ECONNREFUSED)
		return '-';
	if (who < 0)
		fail_msg("a client was neither served nor refused: %s", strerror(-who));
	return letters[who];
}

/* Appends to a text of TEXT_SIZE. */
static __attribute__((format(printf, 2, 3))) void append(char *text, const char *format, ...)
{
	size_t used = strlen(text);
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text + used, TEXT_SIZE - used, format, ap);
	va_end(ap);
	assert_in_range(n, 0, TEXT_SIZE - used - 1);
}

/* What clients and operators see: who serves each address, and the bindings. */
static void observe(const struct world *w, char ret[TEXT_SIZE])
{
	CLEANUP(command_done) struct command_result r = loader("bindings", NULL);

	ret[0] = '\0';
	append(ret, "clients: %c%c%c%c\nstatus %d\n%s",
	       verdict(tcp_who_accepts("127.0.1.1", 80, w->tcp, SERVERS)),
	       verdict(tcp_who_accepts("127.0.1.2", 80, w->tcp, SERVERS)),
	       verdict(tcp_who_accepts("127.0.1.3", 80, w->tcp, SERVERS)),
	       verdict(udp_who_receives("127.0.1.1", 53, w->udp, SERVERS)), r.status, r.out);
}

/* The same, and who is granted a label, and how much room there is; checks that the state is
 * whole, by which all slot maps of a label have the same owner. */
static void describe(const struct world *w, char ret[TEXT_SIZE])
{
	static const char *const labels[] = { "foo", "fresh" };
	struct state_summary summary;
	char path[PATH_MAX];
	struct stat sb;

	observe(w, ret);
	if (strstr(ret, "status 1"))
		return; /* not loaded */
	summary = state_check(w->ns);
	append(ret, "room for %u\n", summary.max_destinations);
	for (size_t i = 0; i < sizeof(labels) / sizeof(*labels); i++) {
		snprintf(path, sizeof(path), "%s/labels/%s/ipv4-tcp", w->ns->state_dir, labels[i]);
		if (stat(path, &sb) == 0)
			append(ret, "%s is %u:%u's, mode %o\n", labels[i], sb.st_uid, sb.st_gid,
			       sb.st_mode & 07777);
	}
}

/* Whatever killed commands leave beside the state. */
static void check_nothing_beside(const struct world *w)
{
	DIR *dir = opendir(w->ns->bpffs);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (strstr(entry->d_name, "_dispatcher-"))
			fail_msg("%s was left behind", entry->d_name);
	closedir(dir);
}

/* ---- commands ---- */

#define WORDS_MAX 12

struct words {
	char text[128], pid[16];
	const char *argv[WORDS_MAX + 1];
};

/* Splits a command, and puts in what it has placeholders for. */
static void words_of(const char *command, struct words *ret)
{
	char *rest, *word;
	size_t n = 0;

	snprintf(ret->text, sizeof(ret->text), "%s", command);
	snprintf(ret->pid, sizeof(ret->pid), "%d", (int)getpid());
	ret->argv[n++] = loader_path();
	for (word = strtok_r(ret->text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		assert_in_range(n, 1, WORDS_MAX - 1);
		ret->argv[n++] = !strcmp(word, "@pid")   ? ret->pid
				 : !strcmp(word, "@old") ? FILES "/old"
				 : !strcmp(word, "@new") ? FILES "/new"
							 : word;
	}
	ret->argv[n] = NULL;
}

static struct command_result run(const char *command)
{
	struct words words;

	words_of(command, &words);
	return command_run(&(struct process_options){ .argv = words.argv });
}

/* Makes the state one of a namespace that has gone, or that was half unloaded. Taking the pin away
 * alone would detach the program too, but some time later. */
static void detach(const struct world *w)
{
	union bpf_attr attr;
	char path[PATH_MAX];
	int fd = -1;

	snprintf(path, sizeof(path), "%s/link", w->ns->state_dir);
	assert_int_equal(bpfsys_obj_get(path, 0, &fd), 0);
	memset(&attr, 0, sizeof(attr));
	attr.link_detach.link_fd = (uint32_t)fd;
	assert_return_code(syscall(__NR_bpf, BPF_LINK_DETACH, &attr, sizeof(attr)), errno);
	close(fd);
	assert_return_code(unlink(path), errno);
}

static void run_ok(const struct world *w, const char *command)
{
	CLEANUP(command_done) struct command_result r = { 0 };

	if (!strcmp(command, "!detach")) {
		detach(w);
		return;
	}
	r = run(command);
	if (r.status)
		fail_msg("isomer-loader %s: exit status %d\n%s%s", command, r.status, r.out, r.err);
}

static void run_all(const struct world *w, const char *const *commands)
{
	for (size_t i = 0; commands && commands[i]; i++)
		run_ok(w, commands[i]);
}

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

struct scenario {
	const char *command;      /* that is killed */
	const char *const *setup; /* what makes the old state */
	const char *const *undo;  /* what makes it again from the new one */
	const char *next;         /* command that mends; by default some other binding is made */
	const char *again;        /* may be the answer to the command when it is given again */
	const char *remark;       /* for the report */
	enum syscall_set set;
};

/* How many kill points a command has. Shared among the workers, which run the same tests in the
 * same order; each finds a number that is not too low. */
struct report {
	char command[128];
	_Atomic unsigned int points;
};
#define REPORTS_MAX 40
static struct report *reports;
static int worker, n_reports;

/* For who has to find out why: printed when a test fails. */
static char where[256];

static void check_either(const char *seen, const char *old, const char *fresh)
{
	if (strcmp(seen, old) && strcmp(seen, fresh))
		fail_msg("neither the old state nor the new one\n%s\nold:\n%s\nnew:\n%s", seen, old,
			 fresh);
}

static void check_same(const char *seen, const char *wanted)
{
	if (strcmp(seen, wanted))
		fail_msg("is\n%s\nshould be\n%s", seen, wanted);
}

/* The next writer finds everything as it should be, or mends it; also one that makes no new index,
 * which would clear the former away by itself. */
static void check_mended(const struct world *w, const struct scenario *s, unsigned int k,
			 const char *seen)
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

static void give_again(const struct scenario *s)
{
	CLEANUP(command_done) struct command_result r = run(s->command);

	if (r.status != 0 && !(r.status == 1 && s->again && strstr(r.err, s->again)))
		fail_msg("given again: exit status %d\n%s%s", r.status, r.out, r.err);
}

struct baseline {
	char old[TEXT_SIZE], fresh[TEXT_SIZE]; /* as observed */
	char fresh_whole[TEXT_SIZE];           /* as described */
};

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

/* Between two calls that change nothing there is nothing new, which one command shows. */
static enum syscall_set calls_of(const struct scenario *s)
{
	return getenv("ISOMER_CRASH_EVERY_CALL") ? SYSCALLS_ALL : s->set;
}

/* Returns false when the command came to its end before call @k. */
static bool kill_at(const struct world *w, const struct scenario *s, const struct baseline *b,
		    unsigned int k)
{
	char seen[TEXT_SIZE], whole[TEXT_SIZE];
	struct traced *t;
	struct words words;
	bool killed;

	words_of(s->command, &words);
	t = traced_start(words.argv, calls_of(s));
	killed = traced_run_to(t, k);
	snprintf(where, sizeof(where), "'%s' killed before call %u, %s", s->command, k,
		 killed ? traced_call(t) : "which it does not make");
	traced_kill(t);

	observe(w, seen);
	check_either(seen, b->old, b->fresh);
	check_mended(w, s, k, seen);
	give_again(s);
	describe(w, whole);
	check_same(whole, b->fresh_whole);
	check_nothing_beside(w);
	run_all(w, s->undo);
	return killed;
}

static void note(struct report *report, const struct scenario *s, unsigned int points)
{
	unsigned int known = atomic_load(&report->points);

	if (worker == 0)
		snprintf(report->command, sizeof(report->command), "%s%s%s", s->command,
			 s->remark ? s->remark : "",
			 calls_of(s) == SYSCALLS_ALL ? ", every call" : "");
	while ((known == 0 || points < known) &&
	       !atomic_compare_exchange_weak(&report->points, &known, points))
		;
}

static void kill_everywhere(void **state, const struct scenario *s)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	struct report *report = &reports[n_reports++];
	static struct baseline baseline;
	struct world w;
	unsigned int k = (unsigned int)worker + 1;

	assert_in_range(n_reports, 1, REPORTS_MAX);
	world_open(&w, ns);
	snprintf(where, sizeof(where), "'%s', not killed", s->command);
	take_baseline(&w, s, &baseline);
	while (kill_at(&w, s, &baseline, k))
		k += WORKERS;
	where[0] = '\0';
	note(report, s, k - 1);
	world_close(&w);
}

/* ---- the tests: what is as it was, or as it was to be, when this command is killed ---- */

static void load_is_whole_or_nothing(void **state)
{
	kill_everywhere(state, &(struct scenario){
				       .command = "load --max-destinations 64",
				       .undo = STEPS("unload"),
				       .next = "load --max-destinations 64",
			       });
}

static void load_over_a_dead_one_is_whole_or_nothing(void **state)
{
	kill_everywhere(state, &(struct scenario){
				       .command = "load --max-destinations 64",
				       .setup = STEPS(BASE, "!detach"),
				       .undo = STEPS("bind foo tcp 127.0.1.1 80", "!detach"),
				       .remark = ", over a dead one",
				       .next = "load --max-destinations 64",
			       });
}

static void unload_is_whole_or_nothing(void **state)
{
	kill_everywhere(state, &(struct scenario){
				       .command = "unload",
				       .setup = STEPS(BASE),
				       .undo = STEPS(BASE),
				       .next = "load --max-destinations 64",
			       });
}

static void bind_of_a_new_label_is_whole_or_nothing(void **state)
{
	kill_everywhere(state, &(struct scenario){
				       .command = "bind new tcp 127.0.1.3 80",
				       .setup = STEPS(BASE),
				       .undo = STEPS("unbind new tcp 127.0.1.3 80"),
				       .set = SYSCALLS_ALL,
			       });
}

static void bind_of_a_label_that_is_there_is_whole_or_nothing(void **state)
{
	kill_everywhere(state, &(struct scenario){
				       .command = "bind foo tcp 127.0.1.3 80",
				       .setup = STEPS(BASE),
				       .undo = STEPS("unbind foo tcp 127.0.1.3 80"),
			       });
}

static void bind_that_replaces_is_whole_or_nothing(void **state)
{
	kill_everywhere(state, &(struct scenario){
				       .command = "bind --replace bar tcp 127.0.1.1 80",
				       .setup = STEPS(BASE),
				       .undo = STEPS("bind --replace foo tcp 127.0.1.1 80"),
			       });
}

static void bind_that_ends_another_label_is_whole_or_nothing(void **state)
{
	kill_everywhere(state, &(struct scenario){
				       .command = "bind --replace foo tcp 127.0.1.3 80",
				       .setup = STEPS(BASE, "bind ending tcp 127.0.1.3 80"),
				       .undo = STEPS("bind --replace ending tcp 127.0.1.3 80"),
			       });
}

static void unbind_of_the_last_binding_is_whole_or_nothing(void **state)
{
	kill_everywhere(state, &(struct scenario){
				       .command = "unbind ending tcp 127.0.1.3 80",
				       .setup = STEPS(BASE, "bind ending tcp 127.0.1.3 80"),
				       .undo = STEPS("bind ending tcp 127.0.1.3 80"),
				       .again = "there is no such binding",
			       });
}

static void load_bindings_is_whole_or_nothing(void **state)
{
	kill_everywhere(state, &(struct scenario){
				       .command = "load-bindings @new",
				       .setup = STEPS(BASE, "load-bindings @old"),
				       .undo = STEPS("load-bindings @old"),
			       });
}

static void grant_is_whole_or_nothing(void **state)
{
	kill_everywhere(state, &(struct scenario){
				       .command = "grant foo 1000:1002",
				       .setup = STEPS(BASE),
				       .undo = STEPS("revoke foo", REGISTER_FOO),
			       });
}

static void grant_of_a_new_label_is_whole_or_nothing(void **state)
{
	kill_everywhere(state, &(struct scenario){
				       .command = "grant fresh 1000",
				       .setup = STEPS(BASE),
				       .undo = STEPS("revoke fresh"),
			       });
}

static void grant_to_another_user_is_whole_or_nothing(void **state)
{
	kill_everywhere(state, &(struct scenario){
				       .command = "grant foo 1001",
				       .setup = STEPS(BASE, "grant foo 1000"),
				       .undo = STEPS("grant foo 1000", REGISTER_FOO),
			       });
}

static void revoke_is_whole_or_nothing(void **state)
{
	kill_everywhere(state, &(struct scenario){
				       .command = "revoke foo",
				       .setup = STEPS(BASE, "grant foo 1000:1000"),
				       .undo = STEPS("grant foo 1000:1000", REGISTER_FOO),
				       .again = "is granted to nobody",
			       });
}

static void register_pid_is_whole_or_nothing(void **state)
{
	kill_everywhere(state, &(struct scenario){
				       .command = "register-pid @pid foo tcp 127.0.0.1 1003",
				       .setup = STEPS(BASE),
				       .undo = STEPS("unregister foo ipv4 tcp",
						     "register-pid @pid foo tcp 127.0.0.1 1001"),
			       });
}

static void register_pid_under_a_new_label_is_whole_or_nothing(void **state)
{
	kill_everywhere(state, &(struct scenario){
				       .command = "register-pid @pid fresh tcp 127.0.0.1 1003",
				       .setup = STEPS(BASE),
				       .undo = STEPS("unregister fresh ipv4 tcp"),
			       });
}

static void unregister_is_whole_or_nothing(void **state)
{
	kill_everywhere(state,
			&(struct scenario){
				.command = "unregister foo ipv4 tcp",
				.setup = STEPS(BASE, "register-pid @pid foo tcp 127.0.0.1 1003"),
				.undo = STEPS("register-pid @pid foo tcp 127.0.0.1 1001",
					      "register-pid @pid foo tcp 127.0.0.1 1003"),
				.again = "no socket is registered",
			});
}

static void upgrade_is_whole_or_nothing(void **state)
{
	kill_everywhere(state, &(struct scenario){
				       .command = "upgrade",
				       .setup = STEPS(BASE, "grant foo 1000"),
			       });
}

static void upgrade_to_more_room_is_whole_or_nothing(void **state)
{
	kill_everywhere(state, &(struct scenario){
				       .command = "upgrade --max-destinations 128",
				       .setup = STEPS(BASE, "grant foo 1000"),
				       .undo = STEPS("unload", BASE, "grant foo 1000"),
			       });
}

static void upgrade_to_more_room_is_mended_by_an_upgrade(void **state)
{
	kill_everywhere(state, &(struct scenario){
				       .command = "upgrade --max-destinations 128",
				       .setup = STEPS(BASE),
				       .undo = STEPS("unload", BASE),
				       .remark = ", mended by upgrade",
				       .next = "upgrade",
			       });
}

/* ---- workers ---- */

static int say_where(void **state)
{
	if (where[0])
		print_error("%s\n", where);
	where[0] = '\0';
	return netns_teardown(state);
}

#define crash_test(fn) cmocka_unit_test_setup_teardown(fn, netns_setup, say_where)

static int run_group(void)
{
	const struct CMUnitTest tests[] = {
		crash_test(load_is_whole_or_nothing),
		crash_test(load_over_a_dead_one_is_whole_or_nothing),
		crash_test(unload_is_whole_or_nothing),
		crash_test(bind_of_a_new_label_is_whole_or_nothing),
		crash_test(bind_of_a_label_that_is_there_is_whole_or_nothing),
		crash_test(bind_that_replaces_is_whole_or_nothing),
		crash_test(bind_that_ends_another_label_is_whole_or_nothing),
		crash_test(unbind_of_the_last_binding_is_whole_or_nothing),
		crash_test(load_bindings_is_whole_or_nothing),
		crash_test(grant_is_whole_or_nothing),
		crash_test(grant_of_a_new_label_is_whole_or_nothing),
		crash_test(grant_to_another_user_is_whole_or_nothing),
		crash_test(revoke_is_whole_or_nothing),
		crash_test(register_pid_is_whole_or_nothing),
		crash_test(register_pid_under_a_new_label_is_whole_or_nothing),
		crash_test(unregister_is_whole_or_nothing),
		crash_test(upgrade_is_whole_or_nothing),
		crash_test(upgrade_to_more_room_is_whole_or_nothing),
		crash_test(upgrade_to_more_room_is_mended_by_an_upgrade),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
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
		printf("%4u kill points: %s\n", reports[i].points, reports[i].command);
	}
	printf("%4u in all\n", sum);
}

int main(void)
{
	FILE *output[WORKERS];
	pid_t pid[WORKERS];
	bool failed = false;

	reports = mmap(NULL, REPORTS_MAX * sizeof(*reports), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (reports == MAP_FAILED)
		return EXIT_FAILURE;
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
