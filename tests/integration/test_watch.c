/* SPDX-License-Identifier: BSD-3-Clause */
/* load-bindings --watch: what is bound follows a file, however that is changed. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/operator.h"
#include "state/cleanup.h"
#include "support/netns.h"
#include "support/state_checker.h"

/* A file system of the test's own, which ends with its mount namespace. */
#define PLACE     "/mnt"
#define FILE_PATH PLACE "/bindings.json"

#define WAIT_SECONDS 10

/* ---- files ---- */

static void make_place(void)
{
	(void)mkdir(PLACE, 0755);
	assert_return_code(mount("tmpfs", PLACE, "tmpfs", 0, NULL), errno);
	loader_ok(OPERATOR_LOAD, NULL);
}

static void write_text(const char *path, const char *text)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_return_code(fd, errno);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* One binding; each port makes a line of its own in what is printed. */
static void write_port(const char *path, unsigned port)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "{\"bindings\": [{\"label\": \"web\", \"protocol\": \"tcp\", "
		 "\"prefix\": \"127.1.0.0/16\", \"port\": %u}]}\n",
		 port);
	write_text(path, text);
}

static void rename_to(const char *from, const char *to)
{
	assert_return_code(rename(from, to), errno);
}

/* A symbolic link, in place of what may be there. */
static void point(const char *path, const char *target)
{
	char fresh[PATH_MAX];

	snprintf(fresh, sizeof(fresh), "%s_tmp", path);
	assert_return_code(symlink(target, fresh), errno);
	rename_to(fresh, path);
}

static void make_folder(const char *path)
{
	assert_return_code(mkdir(path, 0755), errno);
}

/* ---- the watcher ---- */

static struct process *watcher_start(const char *const *env)
{
	const char *argv[] = { loader_path(), "--wait",  "0", "load-bindings",
			       "--watch",     FILE_PATH, NULL };
	struct process *p = process_start(&(struct process_options){ .argv = argv, .env = env });

	process_wait_output(p, "Watching " FILE_PATH "\n");
	return p;
}

/* Does it wait for what comes next, with nothing left to look at? Its own change of the state wakes
 * it once more, and would hide that it does not watch something else. */
static bool is_idle(struct process *p)
{
	char path[64], call[256] = "";
	unsigned long number, args[3];
	CLEANUP_FD int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)process_pid(p));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_return_code(fd, errno);
	if (read(fd, call, sizeof(call) - 1) <= 0 ||
	    sscanf(call, "%lu %lx %lx %lx", &number, &args[0], &args[1], &args[2]) != 4)
		return false; /* it runs */
	return number == SYS_poll && (int)args[2] == -1;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void becomes_idle(struct process *p)
{
	uint64_t end = now_ms() + WAIT_SECONDS * 1000;

	while (!is_idle(p))
		if (now_ms() > end)
			fail_msg("the watcher does not come to rest: %s", process_stderr(p));
}

static void follows(struct process *p, unsigned port)
{
	char line[64];

	snprintf(line, sizeof(line), "added web#tcp:[127.1.0.0/16]:%u\n", port);
	process_wait_output(p, line);
	becomes_idle(p);
}

static void bound_is(const char *ports)
{
	struct command_result r = loader("bindings", "--json", NULL);

	assert_int_equal(r.status, 0);
	operator_json_is(r.out, "' '.join(str(b['port']) for b in d['bindings'])", ports);
	command_done(&r);
}

/* Ends it, and looks that it had nothing to complain of. */
static void ends_without_a_word(struct process *p)
{
	assert_string_equal(process_stderr(p), "");
	assert_int_equal(process_stop(p, SIGTERM), 0);
}

static struct process *watch_port(unsigned port)
{
	struct process *p;

	make_place();
	write_port(FILE_PATH, port);
	p = watcher_start(NULL);
	follows(p, port);
	return p;
}

/* ---- ways to change a file ---- */

static void a_file_written_in_place_is_followed(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p = watch_port(80);

	for (unsigned port = 81; port < 84; port++) {
		write_port(FILE_PATH, port);
		follows(p, port);
	}
	bound_is("83");
	ends_without_a_word(p);
	state_check(ns);
}

static void a_file_that_is_renamed_over_is_followed(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	p = watch_port(80);
	write_port(FILE_PATH ".new", 81);
	rename_to(FILE_PATH ".new", FILE_PATH);
	follows(p, 81);
	bound_is("81");
	ends_without_a_word(p);
}

#define SAVES    10
#define QUICK_MS 40 /* less than what the watcher takes for quiet */

/* vim moves the old file away first. Returns whether the new one was there soon. */
static bool save_as_vim(struct process *p, unsigned port)
{
	uint64_t start = now_ms();

	rename_to(FILE_PATH, FILE_PATH "~");
	while (is_idle(p) && now_ms() < start + QUICK_MS / 2)
		;
	write_port(FILE_PATH, port);
	return now_ms() < start + QUICK_MS;
}

static void a_file_that_is_away_for_a_moment_is_not_missed(void **state)
{
	struct process *p;
	bool quick = true;

	(void)netns_or_skip(state);
	p = watch_port(80);
	for (unsigned save = 1; save <= SAVES && quick; save++) {
		quick = save_as_vim(p, 80 + save);
		follows(p, 80 + save);
		if (quick) /* the machine was not too busy */
			assert_string_equal(process_stderr(p), "");
	}
	assert_int_equal(process_stop(p, SIGTERM), 0);
}

/* As kubelet does it: the file is a link through "..data", and that is what is swapped. */
static void a_config_map_is_followed(void **state)
{
	struct process *p;
	char folder[64], file[128];

	(void)netns_or_skip(state);
	make_place();
	make_folder(PLACE "/..1");
	write_port(PLACE "/..1/bindings.json", 1);
	point(PLACE "/..data", "..1");
	point(FILE_PATH, "..data/bindings.json");
	p = watcher_start(NULL);
	follows(p, 1);
	for (unsigned i = 2; i < 5; i++) {
		snprintf(folder, sizeof(folder), PLACE "/..%u", i);
		snprintf(file, sizeof(file), "%s/bindings.json", folder);
		make_folder(folder);
		write_port(file, i);
		point(PLACE "/..data", strrchr(folder, '/') + 1);
		follows(p, i);
		snprintf(folder, sizeof(folder), PLACE "/..%u", i - 1);
		snprintf(file, sizeof(file), "%s/bindings.json", folder);
		assert_return_code(unlink(file), errno);
		assert_return_code(rmdir(folder), errno);
	}
	bound_is("4");
	ends_without_a_word(p);
}

static void links_and_files_elsewhere_are_followed(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	make_place();
	make_folder(PLACE "/releases");
	make_folder(PLACE "/releases/1");
	make_folder(PLACE "/releases/2");
	write_port(PLACE "/releases/1/b.json", 1);
	write_port(PLACE "/releases/2/b.json", 2);
	point(PLACE "/releases/current", "1");
	point(FILE_PATH, PLACE "/releases/current/b.json");
	p = watcher_start(NULL);
	follows(p, 1);
	write_port(PLACE "/releases/1/b.json", 11); /* the file at the end */
	follows(p, 11);
	point(PLACE "/releases/current", "2"); /* a folder on the way */
	follows(p, 2);
	write_port(PLACE "/releases/2/b.json", 22);
	follows(p, 22);
	write_port(PLACE "/other.json", 3); /* the first link */
	point(FILE_PATH, "other.json");
	follows(p, 3);
	ends_without_a_word(p);
}

static void a_folder_that_goes_and_comes_back_is_followed(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	make_place();
	make_folder(PLACE "/a");
	make_folder(PLACE "/a/b");
	write_port(PLACE "/a/b/f.json", 1);
	point(FILE_PATH, "a/b/f.json");
	p = watcher_start(NULL);
	follows(p, 1);
	rename_to(PLACE "/a", PLACE "/gone");
	process_wait_output(p, "cannot open '" FILE_PATH "': No such file or directory");
	becomes_idle(p);
	bound_is("1");
	make_folder(PLACE "/a");
	make_folder(PLACE "/a/b");
	write_port(PLACE "/a/b/f.json", 2);
	follows(p, 2);
	assert_int_equal(process_stop(p, SIGTERM), 0);
}

/* ---- what is wrong with a file ---- */

/* Waits until `metrics` serves the line. */
static void metrics_say(const char *line)
{
	time_t deadline = time(NULL) + WAIT_SECONDS;
	bool said = false;

	while (!said) {
		struct command_result r = loader("metrics", "--once", NULL);

		assert_int_equal(r.status, 0);
		said = strstr(r.out, line) != NULL;
		if (!said && time(NULL) > deadline)
			fail_msg("no '%s' in:\n%s", line, r.out);
		command_done(&r);
	}
}

static void metrics_say_nothing_of_files(void)
{
	struct command_result r = loader("metrics", "--once", NULL);

	assert_int_equal(r.status, 0);
	assert_null(strstr(r.out, "isomer_bindings_file"));
	command_done(&r);
}

#define APPLIED(n)   "isomer_bindings_file_reloads_total{result=\"applied\"} " #n "\n"
#define FAILED(n)    "isomer_bindings_file_reloads_total{result=\"failed\"} " #n "\n"
#define IN_FORCE(is) "isomer_bindings_file_last_reload_successful " #is "\n"

static void a_file_that_is_refused_changes_nothing_and_shows(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	p = watch_port(80);
	metrics_say(APPLIED(1) FAILED(0));
	metrics_say(IN_FORCE(1));
	write_text(FILE_PATH, "{\"bindings\": [{\"label\": \"web\"}]}");
	process_wait_output(p, FILE_PATH ": entry 1: field 'prefix' is missing\n");
	metrics_say(APPLIED(1) FAILED(1));
	metrics_say(IN_FORCE(0));
	bound_is("80");
	assert_return_code(unlink(FILE_PATH), errno);
	process_wait_output(p, "cannot open '" FILE_PATH "'");
	metrics_say(APPLIED(1) FAILED(2));
	bound_is("80");
	write_port(FILE_PATH, 81);
	follows(p, 81);
	metrics_say(APPLIED(2) FAILED(2));
	metrics_say(IN_FORCE(1));
	bound_is("81");
	state_check(ns);
	assert_int_equal(process_stop(p, SIGTERM), 0);
}

static void metrics_tell_of_a_file_while_it_is_watched(void **state)
{
	struct command_result r;
	char line[128];
	struct process *p;
	time_t before;

	(void)netns_or_skip(state);
	before = time(NULL);
	p = watch_port(80);
	snprintf(line, sizeof(line), "isomer_bindings_file_last_success_timestamp_seconds %lld",
		 (long long)before / 100); /* the last two digits may be later ones */
	metrics_say(line);
	r = loader("metrics", "--once", "--json", NULL);
	operator_json_is(r.out, "{k: v for k, v in d['watched_file'].items() if k != 'applied_at'}",
			 "{'applied': 1, 'failed': 0, 'in_force': True}");
	command_done(&r);
	assert_int_equal(process_stop(p, SIGINT), 0);
	metrics_say_nothing_of_files();
	bound_is("80"); /* the end of the watcher ends nothing else */
}

static void a_start_with_a_bad_file_fails(void **state)
{
	struct command_result r;

	(void)netns_or_skip(state);
	make_place();
	r = loader("load-bindings", "--watch", FILE_PATH, NULL);
	operator_printed(&r, 1, "", "cannot open '" FILE_PATH "': No such file or directory");
	write_text(FILE_PATH, "{");
	r = loader("load-bindings", "--watch", FILE_PATH, NULL);
	operator_printed(&r, 1, "", FILE_PATH ": line 1: ");
	metrics_say_nothing_of_files();
	loader_ok("unload", NULL);
	write_port(FILE_PATH, 80);
	r = loader("load-bindings", "--watch", FILE_PATH, NULL);
	operator_printed(&r, 1, "", "no dispatcher is loaded");
}

static void what_cannot_be_watched_is_refused(void **state)
{
	struct command_result r;

	(void)netns_or_skip(state);
	r = loader("load-bindings", "--watch", "-", NULL);
	operator_printed(&r, 2, "", "takes a file: stdin does not change");
	r = loader("load-bindings", "--watch", "--dry-run", "/x", NULL);
	operator_printed(&r, 2, "", "takes --watch or --dry-run, not both");
}

/* ---- what else changes ---- */

static void a_dispatcher_that_is_loaded_anew_gets_the_bindings(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	p = watch_port(80);
	loader_ok("unload", NULL);
	loader_ok(OPERATOR_LOAD, NULL);
	metrics_say(IN_FORCE(1));
	bound_is("80");
	loader_ok("unload", NULL);
	write_port(FILE_PATH, 81);
	process_wait_output(p, "no dispatcher is loaded");
	loader_ok(OPERATOR_LOAD, NULL);
	follows(p, 81);
	bound_is("81");
	metrics_say(APPLIED(1) FAILED(0)); /* of this dispatcher */
	assert_int_equal(process_stop(p, SIGTERM), 0);
}

static void what_is_bound_by_hand_stays_until_the_file_changes(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	p = watch_port(80);
	loader_ok("bind", "web", "tcp", "127.1.0.0/16", "79", NULL);
	write_text(PLACE "/unrelated", "wakes it");
	rename_to(PLACE "/unrelated", PLACE "/related_no_more");
	metrics_say(APPLIED(1) FAILED(0));
	bound_is("80 79");
	write_port(FILE_PATH, 81);
	follows(p, 81);
	metrics_say(APPLIED(2) FAILED(0)); /* not once more for what is no change of the file */
	bound_is("81");
	ends_without_a_word(p);
}

static void an_upgrade_beneath_it_changes_nothing(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p = watch_port(80);

	loader_ok("upgrade", "--max-destinations", "128", NULL);
	bound_is("80");
	write_port(FILE_PATH, 81);
	follows(p, 81);
	bound_is("81");
	metrics_say(IN_FORCE(1));
	state_check(ns);
	ends_without_a_word(p);
}

/* Who holds the lock is no fault of the file: it is tried again by itself. */
static void a_file_that_met_another_writer_is_tried_again(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p = watch_port(80);
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/" ISOMER_DIR_LOCK, ns->state_dir);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_return_code(fd, errno);
	assert_return_code(flock(fd, LOCK_EX), errno);
	write_port(FILE_PATH, 81);
	process_wait_output(p, "is changing the dispatcher");
	close(fd);
	follows(p, 81);
	bound_is("81");
	assert_int_equal(process_stop(p, SIGTERM), 0);
}

/* ---- service managers ---- */

static void receive(int fd, const char *expected)
{
	char message[256];
	ssize_t n = recv(fd, message, sizeof(message) - 1, 0);

	assert_return_code(n, errno);
	message[n] = '\0';
	if (!strstr(message, expected))
		fail_msg("the service manager got '%s'", message);
}

static void a_service_manager_is_told(void **state)
{
	const char *env[] = { "NOTIFY_SOCKET=" PLACE "/notify", NULL };
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = PLACE "/notify" };
	struct timeval timeout = { .tv_sec = WAIT_SECONDS };
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct process *p;

	(void)netns_or_skip(state);
	make_place();
	assert_return_code(bind(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	assert_return_code(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)),
			   errno);
	write_port(FILE_PATH, 80);
	p = watcher_start(env);
	receive(fd, "READY=1\n");
	bound_is("80");
	write_text(FILE_PATH, "");
	receive(fd, "STATUS=the file was not put in force");
	write_port(FILE_PATH, 81);
	receive(fd, "STATUS=the bindings of the file are in force");
	assert_int_equal(process_stop(p, SIGTERM), 0);
	receive(fd, "STOPPING=1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(a_file_written_in_place_is_followed),
		netns_test(a_file_that_is_renamed_over_is_followed),
		netns_test(a_file_that_is_away_for_a_moment_is_not_missed),
		netns_test(a_config_map_is_followed),
		netns_test(links_and_files_elsewhere_are_followed),
		netns_test(a_folder_that_goes_and_comes_back_is_followed),
		netns_test(a_file_that_is_refused_changes_nothing_and_shows),
		netns_test(metrics_tell_of_a_file_while_it_is_watched),
		netns_test(a_start_with_a_bad_file_fails),
		netns_test(what_cannot_be_watched_is_refused),
		netns_test(a_dispatcher_that_is_loaded_anew_gets_the_bindings),
		netns_test(what_is_bound_by_hand_stays_until_the_file_changes),
		netns_test(an_upgrade_beneath_it_changes_nothing),
		netns_test(a_file_that_met_another_writer_is_tried_again),
		netns_test(a_service_manager_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
