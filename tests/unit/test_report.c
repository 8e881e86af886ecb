/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "preload/report.h"
#include "state/cleanup.h"

/* The program's own stderr while a test has another there. */
static int real_stderr = -1;

static int keep_stderr(void **state)
{
	(void)state;
	real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	return real_stderr < 0;
}

static int restore_stderr(void **state)
{
	(void)state;
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	return 0;
}

static void become_stderr(int fd)
{
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
}

static void say(const char *text)
{
	struct report line;

	report_begin(&line);
	report_add(&line, "%s", text);
	report_end(&line);
}

/* What can be read from @fd now; "" for nothing. */
static const char *read_now(int fd)
{
	static char buffer[8192];
	ssize_t n;

	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	n = read(fd, buffer, sizeof(buffer) - 1);
	buffer[n > 0 ? n : 0] = '\0';
	return buffer;
}

static const char *line_with(const char *text)
{
	static char expected[2048];

	snprintf(expected, sizeof(expected), "isomer: test_report[%d]: %s\n", getpid(), text);
	return expected;
}

struct pipe_stderr {
	int end[2];
};

/* A pipe that is stderr from the start. */
static struct pipe_stderr pipe_as_stderr(void)
{
	struct pipe_stderr p;

	assert_int_equal(pipe2(p.end, O_CLOEXEC), 0);
	become_stderr(p.end[1]);
	report_start(REPORT_WARN);
	return p;
}

static void pipe_done(struct pipe_stderr *p)
{
	become_stderr(real_stderr);
	close(p->end[0]);
	close(p->end[1]);
}

static void a_line_tells_program_and_process(void **state)
{
	struct pipe_stderr p = pipe_as_stderr();

	(void)state;
	errno = ELOOP;
	say("hello");
	assert_int_equal(errno, ELOOP);
	assert_string_equal(read_now(p.end[0]), line_with("hello"));
	pipe_done(&p);
}

static void all_conversions_are_known(void **state)
{
	struct pipe_stderr p = pipe_as_stderr();
	struct report line;

	(void)state;
	report_begin(&line);
	report_add(&line, "%s|%.*s|%.*s|%c|%d|%d|%u|%lu|%llu|%%|%s", "s", 2, "abc", 9, "de", 'x',
		   -7, -2147483647 - 1, 4294967295u, 7ul, 18446744073709551615ull, "end");
	report_end(&line);
	assert_string_equal(
		read_now(p.end[0]),
		line_with("s|ab|de|x|-7|-2147483648|4294967295|7|18446744073709551615|%|end"));
	pipe_done(&p);
}

static void text_from_outside_cannot_forge_lines(void **state)
{
	struct pipe_stderr p = pipe_as_stderr();

	(void)state;
	say("a\nb\033[1m\x7f\xc3\xa9");
	assert_string_equal(read_now(p.end[0]), line_with("a?b?[1m???"));
	pipe_done(&p);
}

static void a_long_line_is_cut_and_says_so(void **state)
{
	struct pipe_stderr p = pipe_as_stderr();
	char text[2 * REPORT_SIZE];
	const char *got;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	say(text);
	got = read_now(p.end[0]);
	assert_int_equal(strlen(got), REPORT_SIZE);
	assert_string_equal(got + REPORT_SIZE - 6, "xx...\n");
	pipe_done(&p);
}

static void nobody_listening_is_no_reason_to_die(void **state)
{
	struct pipe_stderr p = pipe_as_stderr();
	sigset_t pending;

	(void)state;
	close(p.end[0]);
	say("hello"); /* SIGPIPE would end this program */
	assert_int_equal(sigpending(&pending), 0);
	assert_false(sigismember(&pending, SIGPIPE));
	p.end[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pipe_done(&p);
}

/* The guest's own SIGPIPE, which it keeps blocked for later, stays. */
static void a_pending_sigpipe_is_left_alone(void **state)
{
	struct pipe_stderr p = pipe_as_stderr();
	sigset_t set, before, pending;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	assert_int_equal(sigprocmask(SIG_BLOCK, &set, &before), 0);
	raise(SIGPIPE);
	close(p.end[0]);
	say("hello");
	assert_int_equal(sigpending(&pending), 0);
	assert_true(sigismember(&pending, SIGPIPE));
	assert_int_equal(sigwaitinfo(&set, NULL), SIGPIPE);
	assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
	p.end[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pipe_done(&p);
}

static void a_full_pipe_does_not_block(void **state)
{
	struct pipe_stderr p = pipe_as_stderr();
	char page[4096] = "";

	(void)state;
	assert_int_equal(fcntl(p.end[1], F_SETFL, O_NONBLOCK), 0);
	while (write(p.end[1], page, sizeof(page)) > 0)
		;
	assert_int_equal(fcntl(p.end[1], F_SETFL, 0), 0);
	alarm(10); /* ends this program when it hangs */
	say("hello");
	alarm(0);
	pipe_done(&p);
}

/* What a guest may have opened as number 2 after closing everything. */
static void another_descriptor_2_is_not_written_to(void **state)
{
	CLEANUP_FD int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), tcp = -1, file = -1;
	char name[] = "/tmp/isomer-test-XXXXXX";
	int other[2], unix_pair[2];
	uint64_t count;

	(void)state;
	become_stderr(real_stderr);
	report_start(REPORT_WARN);

	assert_int_equal(pipe2(other, O_CLOEXEC), 0);
	become_stderr(other[1]);
	say("hello");
	assert_string_equal(read_now(other[0]), "");

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, unix_pair), 0);
	become_stderr(unix_pair[0]);
	say("hello");
	assert_string_equal(read_now(unix_pair[1]), "");

	tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	become_stderr(tcp);
	say("hello"); /* SIGPIPE, or an error of the socket */

	become_stderr(event);
	say("12345678");
	assert_int_equal(read(event, &count, sizeof(count)), -1);

	file = mkostemp(name, O_CLOEXEC);
	assert_int_equal(unlink(name), 0);
	become_stderr(file);
	say("hello");
	assert_int_equal(lseek(file, 0, SEEK_END), 0);

	become_stderr(real_stderr);
	for (size_t i = 0; i < 2; i++) {
		close(other[i]);
		close(unix_pair[i]);
	}
}

static void a_file_that_took_the_place_of_stderr_gets_no_line(void **state)
{
	char name[] = "/tmp/isomer-test-XXXXXX";
	CLEANUP_FD int file = -1;

	(void)state;
	become_stderr(real_stderr);
	report_start(REPORT_WARN);
	file = mkostemp(name, O_CLOEXEC | O_APPEND);
	assert_int_equal(unlink(name), 0);
	become_stderr(file);
	say("hello");
	assert_int_equal(lseek(file, 0, SEEK_END), 0);
	become_stderr(real_stderr);
}

static void a_full_log_does_not_end_the_process(void **state)
{
	char name[] = "/tmp/isomer-test-XXXXXX";
	CLEANUP_FD int file = mkostemp(name, O_CLOEXEC);
	struct rlimit before, none;

	(void)state;
	assert_int_equal(unlink(name), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = (struct rlimit){ 0, before.rlim_max };
	become_stderr(file);
	report_start(REPORT_WARN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	say("hello"); /* SIGXFSZ */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	become_stderr(real_stderr);
}

static void a_closed_stderr_is_left_closed(void **state)
{
	(void)state;
	close(STDERR_FILENO);
	report_start(REPORT_WARN);
	errno = ELOOP;
	say("hello");
	assert_int_equal(errno, ELOOP);
	assert_int_equal(fcntl(STDERR_FILENO, F_GETFD), -1);
	become_stderr(real_stderr);
}

static void levels_are_ordered(void **state)
{
	(void)state;
	report_start(REPORT_WARN);
	assert_true(report_wanted(REPORT_ERROR));
	assert_true(report_wanted(REPORT_WARN));
	assert_false(report_wanted(REPORT_INFO));
	report_start(REPORT_ERROR);
	assert_false(report_wanted(REPORT_WARN));
	report_start(REPORT_DEBUG);
	assert_true(report_wanted(REPORT_DEBUG));
}

static void the_same_is_said_once(void **state)
{
	char label[16];
	int said = 0;

	(void)state;
	assert_true(report_first_time(1, "a"));
	assert_false(report_first_time(1, "a"));
	assert_true(report_first_time(2, "a"));
	assert_true(report_first_time(1, "b"));
	assert_false(report_first_time(2, "a"));
	assert_false(report_first_time(1, "b"));
	for (int i = 0; i < 1000; i++) {
		snprintf(label, sizeof(label), "label-%d", i);
		said += report_first_time(1, label);
	}
	assert_int_equal(said, 61); /* 64 in all, then silence */
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_tells_program_and_process),
		cmocka_unit_test(all_conversions_are_known),
		cmocka_unit_test(text_from_outside_cannot_forge_lines),
		cmocka_unit_test(a_long_line_is_cut_and_says_so),
		cmocka_unit_test(nobody_listening_is_no_reason_to_die),
		cmocka_unit_test(a_pending_sigpipe_is_left_alone),
		cmocka_unit_test(a_full_pipe_does_not_block),
		cmocka_unit_test(another_descriptor_2_is_not_written_to),
		cmocka_unit_test(a_file_that_took_the_place_of_stderr_gets_no_line),
		cmocka_unit_test(a_full_log_does_not_end_the_process),
		cmocka_unit_test(a_closed_stderr_is_left_closed),
		cmocka_unit_test(levels_are_ordered),
		cmocka_unit_test(the_same_is_said_once),
	};

	return cmocka_run_group_tests_name("report", tests, keep_stderr, restore_stderr);
}
