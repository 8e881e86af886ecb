/* SPDX-License-Identifier: BSD-3-Clause */
/* Reply sockets that the library keeps open between calls of a UDP server: while more datagrams
 * wait for it, and never beyond.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
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
#include "integration/udp_asked.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"

#define ASKED "198.51.100.5"
#define OTHER "198.51.100.6"

/* More ports than sockets that are kept. */
#define PORTS    20
#define KEPT_MAX 16

static struct process *start(void **state)
{
	const struct guest_options under_foo = { .env = { "ISOMER_LABEL=foo" } };

	udp_dispatcher(state);
	return guest_start(&under_foo, "udp_steps", "7000", NULL);
}

/* Lets it do what the signal means, and waits for what it says of it. */
static void step(struct process *p, int signal, const char *said)
{
	process_signal(p, signal);
	process_wait_output(p, said);
}

/* Its descriptors that are sockets. */
static unsigned sockets_of(pid_t pid)
{
	char path[64], target[64];
	struct dirent *entry;
	unsigned sockets = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	assert_non_null(d);
	while ((entry = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), entry->d_name, target, sizeof(target));

		sockets += n > 7 && !memcmp(target, "socket:", 7);
	}
	closedir(d);
	return sockets;
}

static int client_of(const char *ip, uint16_t port, unsigned datagrams)
{
	int fd = udp_connect(ip, port);

	assert_return_code(fd, -fd);
	for (unsigned i = 0; i < datagrams; i++)
		assert_int_equal(send(fd, "text", 4, 0), 4);
	return fd;
}

static int client(uint16_t port, unsigned datagrams)
{
	return client_of(ASKED, port, datagrams);
}

static void assert_answered(int fd, unsigned answers)
{
	char answer[16];

	for (unsigned i = 0; i < answers; i++) {
		assert_true(net_readable(fd, NET_TIMEOUT_MS));
		assert_int_equal(recv(fd, answer, sizeof(answer), 0), 4);
	}
	assert_false(net_readable(fd, 0));
}

static void one_is_kept_while_more_is_waiting(void **state)
{
	CLEANUP(process_stopp) struct process *p = start(state);
	CLEANUP_FD int fd = client(7001, 3);

	step(p, SIGUSR1, "answered 1\n");
	assert_int_equal(sockets_of(process_pid(p)), 2);
	step(p, SIGUSR1, "answered 2\n");
	assert_int_equal(sockets_of(process_pid(p)), 2);
	step(p, SIGUSR1, "answered 3\n");
	assert_int_equal(sockets_of(process_pid(p)), 1);
	assert_answered(fd, 3);
	guest_said_nothing(p);
}

/* Closed by the receive, whatever port is answered from. */
static void none_is_left_when_the_last_is_answered_from_elsewhere(void **state)
{
	CLEANUP(process_stopp) struct process *p = start(state);
	CLEANUP_FD int first = client(7001, 1), last = client(7000, 1);

	step(p, SIGUSR1, "answered 1\n");
	assert_int_equal(sockets_of(process_pid(p)), 2);
	step(p, SIGUSR1, "answered 2\n");
	assert_int_equal(sockets_of(process_pid(p)), 1);
	assert_answered(first, 1);
	assert_answered(last, 1);
}

static void each_is_for_one_address(void **state)
{
	CLEANUP(process_stopp) struct process *p = start(state);
	CLEANUP_FD int first = client(7001, 1), second = client_of(OTHER, 7001, 1),
		       last = client(7000, 1);

	step(p, SIGUSR1, "answered 1\n");
	step(p, SIGUSR1, "answered 2\n");
	assert_int_equal(sockets_of(process_pid(p)), 3);
	assert_answered(first, 1);
	assert_answered(second, 1);
	assert_answered(last, 0);
}

static void binding_may_go_while_one_is_open(void **state)
{
	CLEANUP(process_stopp) struct process *p = start(state);
	CLEANUP_FD int other = udp_bind_reuseaddr(ASKED, 7001), fd = client(7001, 2), late = -1;

	assert_return_code(other, -other);
	step(p, SIGUSR1, "answered 1\n");
	assert_int_equal(sockets_of(process_pid(p)), 2);
	loader_ok("unbind", "foo", "udp", "198.51.100.0/24", "0", NULL);
	step(p, SIGUSR1, "answered 2\n");
	assert_int_equal(sockets_of(process_pid(p)), 1);
	assert_answered(fd, 2);
	late = client(7001, 1);
	assert_true(net_readable(other, NET_TIMEOUT_MS));
}

static void no_more_than_some_are_kept(void **state)
{
	CLEANUP(process_stopp) struct process *p = start(state);
	int fds[PORTS + 1];
	char said[32];

	for (unsigned i = 0; i <= PORTS; i++)
		fds[i] = client((uint16_t)(7001 + i), 1);
	for (unsigned i = 1; i <= PORTS; i++) {
		snprintf(said, sizeof(said), "answered %u\n", i);
		step(p, SIGUSR1, said);
		assert_int_equal(sockets_of(process_pid(p)), 1 + (i < KEPT_MAX ? i : KEPT_MAX));
	}
	for (unsigned i = 0; i <= PORTS; i++) {
		assert_answered(fds[i], i < PORTS);
		close(fds[i]);
	}
}

static void closing_the_server_closes_them(void **state)
{
	CLEANUP(process_stopp) struct process *p = start(state);
	CLEANUP_FD int fd = client(7001, 2);

	step(p, SIGUSR1, "answered 1\n");
	step(p, SIGHUP, "closed 0\n");
	assert_int_equal(sockets_of(process_pid(p)), 0);
	assert_answered(fd, 1);
}

/* Its next answer leaves with the new value. */
static void setting_an_option_closes_them(void **state)
{
	CLEANUP(process_stopp) struct process *p = start(state);
	CLEANUP_FD int fd = client(7001, 2);

	step(p, SIGUSR1, "answered 1\n");
	step(p, SIGURG, "set 0\n");
	assert_int_equal(sockets_of(process_pid(p)), 1);
	step(p, SIGUSR1, "answered 2\n");
	assert_answered(fd, 2);
}

static void server_may_bind_to_the_same_address(void **state)
{
	CLEANUP(process_stopp) struct process *p = start(state);
	CLEANUP_FD int fd = client(7001, 2);

	step(p, SIGUSR1, "answered 1\n");
	step(p, SIGQUIT, "bound 0\n");
	assert_answered(fd, 1);
}

static void server_may_close_them_and_use_their_numbers(void **state)
{
	CLEANUP(process_stopp) struct process *p = start(state);
	CLEANUP_FD int fd = client(7001, 4);

	step(p, SIGUSR1, "answered 1\n");
	assert_int_equal(sockets_of(process_pid(p)), 2);
	step(p, SIGUSR2, "others 996\n"); /* 3 to 999 without the socket */
	assert_int_equal(sockets_of(process_pid(p)), 1);
	step(p, SIGUSR1, "answered 2\n");
	step(p, SIGUSR1, "answered 3\n");
	step(p, SIGUSR1, "answered 4\n");
	step(p, SIGUSR2, "others 996\nanswered 2\nanswered 3\nanswered 4\nothers 996\n");
	assert_answered(fd, 4);
}

/* What closes them looks at whose the numbers are. */
static void numbers_that_the_server_uses_stay_open(void **state)
{
	CLEANUP(process_stopp) struct process *p = start(state);
	CLEANUP_FD int fd = client(7001, 2);

	step(p, SIGUSR1, "answered 1\n");
	step(p, SIGUSR2, "others 996\n");
	step(p, SIGURG, "set 0\n");
	step(p, SIGUSR2, "others 996\nset 0\nothers 996\n");
	assert_answered(fd, 1);
}

/* Another process may take what is waiting. */
static void none_is_kept_after_a_fork(void **state)
{
	CLEANUP(process_stopp) struct process *p = start(state);
	CLEANUP_FD int fd = client(7001, 4);
	long child;

	step(p, SIGUSR1, "answered 1\n");
	assert_int_equal(sockets_of(process_pid(p)), 2);
	step(p, SIGWINCH, "forked ");
	assert_int_equal(sockets_of(process_pid(p)), 1);
	step(p, SIGUSR1, "answered 2\n"); /* by now the line before is all there */
	child = strtol(strstr(process_stdout(p), "forked ") + strlen("forked "), NULL, 10);
	assert_int_equal(sockets_of((pid_t)child), 1);
	assert_int_equal(sockets_of(process_pid(p)), 1);
	step(p, SIGUSR1, "answered 3\n");
	assert_int_equal(sockets_of(process_pid(p)), 1);
	assert_return_code(kill((pid_t)child, SIGKILL), errno);
	assert_answered(fd, 3);
}

static void none_is_left_when_the_server_does_something_else(void **state)
{
	CLEANUP(process_stopp) struct process *p = start(state);
	CLEANUP_FD int fd = client(7001, 2);
	unsigned ms = 0;

	step(p, SIGUSR1, "answered 1\n");
	assert_int_equal(sockets_of(process_pid(p)), 2);
	for (; sockets_of(process_pid(p)) != 1 && ms < NET_TIMEOUT_MS; ms += 10) {
		process_signal(p, SIGIO);
		poll(NULL, 0, 10);
	}
	assert_in_range(ms, 0, NET_TIMEOUT_MS - 1);
	assert_answered(fd, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(one_is_kept_while_more_is_waiting),
		netns_test(none_is_left_when_the_last_is_answered_from_elsewhere),
		netns_test(each_is_for_one_address),
		netns_test(binding_may_go_while_one_is_open),
		netns_test(no_more_than_some_are_kept),
		netns_test(closing_the_server_closes_them),
		netns_test(setting_an_option_closes_them),
		netns_test(server_may_bind_to_the_same_address),
		netns_test(server_may_close_them_and_use_their_numbers),
		netns_test(numbers_that_the_server_uses_stay_open),
		netns_test(none_is_kept_after_a_fork),
		netns_test(none_is_left_when_the_server_does_something_else),
	};

	return cmocka_run_group_tests_name("kept reply sockets", tests, NULL, NULL);
}
