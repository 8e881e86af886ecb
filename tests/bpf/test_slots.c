/* SPDX-License-Identifier: BSD-3-Clause */
/* The slot protocol on a SOCKMAP. Without the dispatcher. */
#include <arpa/inet.h>
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
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include <isomer/abi.h>

#include "state/cleanup.h"
#include "state/slots.h"
#include "support/net.h"
#include "support/netns.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define LEN(array) (sizeof(array) / sizeof(*(array)))

#define IP       "127.0.0.1"
#define STANDBYS (ISOMER_SLOTS - 1)

static int slots_make(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "slots", sizeof(uint32_t), sizeof(uint64_t),
				ISOMER_SLOTS, NULL);

	assert_return_code(fd, errno);
	return fd;
}

static int listener(void)
{
	int fd = tcp_listen(IP, 0);

	assert_return_code(fd, -fd);
	return fd;
}

/* Returns the slot as isomer_slots_put() tells it, or -100 - errno. */
#define FAILED(error) (-100 - (error))

static int put(int slots, int fd, enum isomer_slots_place place)
{
	int slot = INT32_MAX, r = isomer_slots_put(slots, fd, net_cookie(fd), place, &slot);

	if (r < 0) {
		assert_int_equal(slot, INT32_MAX);
		return FAILED(-r);
	}
	return slot;
}

static int put_current(int slots, int fd)
{
	return put(slots, fd, ISOMER_PLACE_CURRENT);
}

static int put_standby(int slots, int fd)
{
	return put(slots, fd, ISOMER_PLACE_STANDBY);
}

/* The slots must hold the sockets @fds, -1 for none, and nothing behind them. */
static void slots_are(int slots, const int *fds, size_t n)
{
	uint64_t cookies[ISOMER_SLOTS];

	assert_int_equal(isomer_slots_read(slots, cookies), 0);
	for (size_t i = 0; i < ISOMER_SLOTS; i++) {
		uint64_t expected = i < n && fds[i] >= 0 ? net_cookie(fds[i]) : 0;

		if (cookies[i] != expected)
			fail_msg("slot %zu holds socket %llu, should be %llu", i,
				 (unsigned long long)cookies[i], (unsigned long long)expected);
	}
}

#define SLOTS_ARE(slots, ...)                                                                      \
	slots_are(slots, (const int[]){ __VA_ARGS__ }, LEN(((const int[]){ __VA_ARGS__ })))

/* ---- the protocol ---- */

static void the_first_socket_is_current_and_a_standby(void **state)
{
	CLEANUP_FD int slots = -1, a = -1;

	(void)netns_or_skip(state);
	slots = slots_make();
	a = listener();
	slots_are(slots, NULL, 0);
	assert_int_equal(put_current(slots, a), 1);
	SLOTS_ARE(slots, a, a);
}

static void the_newest_is_current_and_the_older_stand_by(void **state)
{
	CLEANUP_FD int slots = -1, a = -1, b = -1, c = -1;

	(void)netns_or_skip(state);
	slots = slots_make();
	a = listener();
	b = listener();
	c = listener();
	assert_int_equal(put_current(slots, a), 1);
	assert_int_equal(put_current(slots, b), 2);
	assert_int_equal(put_current(slots, c), 3);
	SLOTS_ARE(slots, c, a, b, c);
}

static void udp_sockets_have_slots_too(void **state)
{
	CLEANUP_FD int slots = -1, a = -1, b = -1;

	(void)netns_or_skip(state);
	slots = slots_make();
	a = udp_bind(IP, 0);
	b = udp_bind("::1", 0);
	assert_int_equal(put_current(slots, a), 1);
	assert_int_equal(put_current(slots, b), 2);
	SLOTS_ARE(slots, b, a, b);
}

static void a_socket_that_sits_there_stays_as_it_is(void **state)
{
	CLEANUP_FD int slots = -1, a = -1, b = -1, again = -1;

	(void)netns_or_skip(state);
	slots = slots_make();
	a = listener();
	b = listener();
	assert_int_equal(put_current(slots, a), 1);
	assert_int_equal(put_current(slots, a), -1);
	SLOTS_ARE(slots, a, a);

	/* The older server takes nothing back by listening again. */
	assert_int_equal(put_current(slots, b), 2);
	assert_int_equal(put_current(slots, a), -1);
	assert_int_equal(put_standby(slots, b), -1);
	again = fcntl(a, F_DUPFD_CLOEXEC, 3); /* another descriptor is no other socket */
	assert_int_equal(put_current(slots, again), -1);
	SLOTS_ARE(slots, b, a, b);
}

static void one_socket_may_serve_two_destinations(void **state)
{
	CLEANUP_FD int ipv4 = -1, ipv6 = -1, a = -1;

	(void)netns_or_skip(state);
	ipv4 = slots_make();
	ipv6 = slots_make();
	a = tcp_listen_dual(0);
	assert_int_equal(put_current(ipv4, a), 1);
	assert_int_equal(put_current(ipv6, a), 1);
	SLOTS_ARE(ipv4, a, a);
	SLOTS_ARE(ipv6, a, a);
}

static void standby_only_leaves_the_current_one(void **state)
{
	CLEANUP_FD int slots = -1, a = -1, b = -1, c = -1;

	(void)netns_or_skip(state);
	slots = slots_make();
	a = listener();
	b = listener();
	c = listener();
	assert_int_equal(put_standby(slots, a), 1); /* nobody else: current all the same */
	SLOTS_ARE(slots, a, a);
	assert_int_equal(put_standby(slots, b), 2);
	SLOTS_ARE(slots, a, a, b);
	assert_int_equal(put_current(slots, c), 3);
	SLOTS_ARE(slots, c, a, b, c);
}

static void taking_over_makes_a_standby_current(void **state)
{
	CLEANUP_FD int slots = -1, a = -1, b = -1, c = -1;

	(void)netns_or_skip(state);
	slots = slots_make();
	a = listener();
	b = listener();
	c = listener();
	assert_int_equal(put(slots, a, ISOMER_PLACE_TAKE_OVER), 1);
	assert_int_equal(put_current(slots, b), 2);
	assert_int_equal(put(slots, a, ISOMER_PLACE_TAKE_OVER), -1);
	SLOTS_ARE(slots, a, a, b);
	assert_int_equal(put(slots, a, ISOMER_PLACE_TAKE_OVER), -1); /* is current already */
	SLOTS_ARE(slots, a, a, b);
	assert_int_equal(put(slots, c, ISOMER_PLACE_TAKE_OVER), 3);
	SLOTS_ARE(slots, c, a, b, c);
}

static void when_all_standbys_are_taken_slot_0_is_left(void **state)
{
	int fds[ISOMER_SLOTS + 1];
	CLEANUP_FD int slots = -1;

	(void)netns_or_skip(state);
	slots = slots_make();
	for (int i = 1; i <= STANDBYS; i++) {
		fds[i] = listener();
		assert_int_equal(put_current(slots, fds[i]), i);
	}
	fds[0] = fds[STANDBYS];
	slots_are(slots, fds, ISOMER_SLOTS);

	fds[ISOMER_SLOTS] = listener();
	assert_int_equal(put_standby(slots, fds[ISOMER_SLOTS]), FAILED(ENOSPC));
	slots_are(slots, fds, ISOMER_SLOTS);
	assert_int_equal(put_current(slots, fds[ISOMER_SLOTS]), 0);
	fds[0] = fds[ISOMER_SLOTS];
	slots_are(slots, fds, ISOMER_SLOTS);
	for (int i = 1; i <= ISOMER_SLOTS; i++)
		close(fds[i]);
	slots_are(slots, NULL, 0);
}

static void the_slot_above_the_highest_used_comes_first(void **state)
{
	CLEANUP_FD int slots = -1, b = -1, d = -1, e = -1;
	int a, c;

	(void)netns_or_skip(state);
	slots = slots_make();
	a = listener();
	b = listener();
	c = listener();
	assert_int_equal(put_current(slots, a), 1);
	assert_int_equal(put_current(slots, b), 2);
	assert_int_equal(put_current(slots, c), 3);
	close(a);
	SLOTS_ARE(slots, c, -1, b, c);
	/* Not the lowest free one: the newest must be the highest. */
	d = listener();
	assert_int_equal(put_current(slots, d), 4);
	SLOTS_ARE(slots, d, -1, b, c, d);
	close(c);
	e = listener();
	assert_int_equal(put_standby(slots, e), 5);
	SLOTS_ARE(slots, d, -1, b, -1, d, e);
}

static void the_lowest_free_slot_comes_last(void **state)
{
	int fds[ISOMER_SLOTS], first, second;
	CLEANUP_FD int slots = -1;

	(void)netns_or_skip(state);
	slots = slots_make();
	for (int i = 1; i <= STANDBYS; i++) {
		fds[i] = listener();
		assert_int_equal(put_current(slots, fds[i]), i);
	}
	close(fds[9]);
	close(fds[4]);
	first = listener();
	second = listener();
	assert_int_equal(put_current(slots, first), 4);
	assert_int_equal(put_current(slots, second), 9);
	/* The highest is free: that is above all used ones again. */
	close(fds[STANDBYS]);
	fds[STANDBYS] = listener();
	assert_int_equal(put_current(slots, fds[STANDBYS]), STANDBYS);
	fds[4] = first;
	fds[9] = second;
	fds[0] = fds[STANDBYS];
	slots_are(slots, fds, ISOMER_SLOTS);
	for (int i = 1; i <= STANDBYS; i++)
		close(fds[i]);
}

/* ---- life and death ---- */

static void death_empties_every_slot(void **state)
{
	CLEANUP_FD int slots = -1, other = -1, a = -1;
	int b, c;

	(void)netns_or_skip(state);
	slots = slots_make();
	other = slots_make();
	a = listener();
	b = listener();
	c = udp_bind(IP, 0);
	assert_int_equal(put_current(slots, a), 1);
	assert_int_equal(put_current(slots, b), 2);
	assert_int_equal(put_current(other, b), 1);
	assert_int_equal(put_current(other, c), 2);
	close(b);
	SLOTS_ARE(slots, -1, a);
	SLOTS_ARE(other, c, -1, c);
	close(c);
	slots_are(other, NULL, 0);
}

static void a_duplicate_keeps_the_socket(void **state)
{
	CLEANUP_FD int slots = -1, copy = -1;
	int a;

	(void)netns_or_skip(state);
	slots = slots_make();
	a = listener();
	assert_int_equal(put_current(slots, a), 1);
	copy = fcntl(a, F_DUPFD_CLOEXEC, 3);
	close(a);
	SLOTS_ARE(slots, copy, copy);
	close(TAKE_FD(copy));
	slots_are(slots, NULL, 0);
}

/* A child that does nothing until the other end of a pipe is closed. */
static pid_t fork_waiting(int *ret_pipe)
{
	char byte;
	int fds[2];
	pid_t pid;

	assert_return_code(pipe2(fds, O_CLOEXEC), errno);
	pid = fork();
	assert_return_code(pid, errno);
	if (pid == 0) {
		close(fds[1]);
		(void)!read(fds[0], &byte, 1);
		_exit(0);
	}
	close(fds[0]);
	*ret_pipe = fds[1];
	return pid;
}

static void a_fork_keeps_the_socket(void **state)
{
	CLEANUP_FD int slots = -1;
	uint64_t cookies[ISOMER_SLOTS], cookie;
	int a, pipe_fd;
	pid_t child;

	(void)netns_or_skip(state);
	slots = slots_make();
	a = listener();
	cookie = net_cookie(a);
	assert_int_equal(put_current(slots, a), 1);
	child = fork_waiting(&pipe_fd);
	close(a);
	assert_int_equal(isomer_slots_read(slots, cookies), 0);
	assert_int_equal(cookies[0], cookie);
	assert_int_equal(cookies[1], cookie);
	close(pipe_fd);
	assert_int_equal(waitpid(child, NULL, 0), child);
	slots_are(slots, NULL, 0);
}

/* ---- what the kernel refuses ---- */

static void a_frozen_map_takes_nobody(void **state)
{
	CLEANUP_FD int slots = -1, a = -1, b = -1;

	(void)netns_or_skip(state);
	slots = slots_make();
	a = listener();
	b = listener();
	assert_int_equal(put_current(slots, a), 1);
	assert_return_code(bpf_map_freeze(slots), errno);
	assert_int_equal(put_current(slots, b), FAILED(EPERM));
	assert_int_equal(put_standby(slots, b), FAILED(EPERM));
	assert_int_equal(put_current(slots, a), -1); /* nothing to do */
	SLOTS_ARE(slots, a, a);
}

static void a_socket_in_the_wrong_state_is_not_put(void **state)
{
	CLEANUP_FD int slots = -1, tcp = -1;

	(void)netns_or_skip(state);
	slots = slots_make();
	tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(put_current(slots, tcp), FAILED(EOPNOTSUPP));
	slots_are(slots, NULL, 0);
	assert_int_equal(listen(tcp, 1), 0);
	assert_int_equal(put_current(slots, tcp), 1);
}

static void what_is_no_map_is_told(void **state)
{
	CLEANUP_FD int a = -1;
	uint64_t cookies[ISOMER_SLOTS] = { 42 };

	(void)netns_or_skip(state);
	a = listener();
	assert_true(isomer_slots_read(-1, cookies) < 0);
	assert_true(isomer_slots_read(a, cookies) < 0);
	assert_true(put_current(a, a) <= FAILED(0));
	assert_int_equal(cookies[0], 42);
}

/* ---- at once ---- */

#define CROWD_MAX 20

/* Children that each have a listener, and put it into the slots when @go is closed. */
struct crowd {
	size_t n;
	pid_t pids[CROWD_MAX];
	int go, stay, report; /* write, write and read end */
};

struct crowd_report {
	uint64_t cookie;
	int slot; /* of put_current() */
};

static _Noreturn void crowd_child(int slots, int go, int stay, int report)
{
	struct crowd_report r = { .slot = -1 };
	int fd = tcp_listen(IP, 0), result;
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	r.cookie = net_cookie(fd);
	(void)!read(go, &byte, 1);
	result = isomer_slots_put(slots, fd, r.cookie, ISOMER_PLACE_CURRENT, &r.slot);
	if (result < 0)
		r.slot = FAILED(-result);
	(void)!write(report, &r, sizeof(r));
	(void)!read(stay, &byte, 1); /* the socket lives until then */
	_exit(0);
}

static void crowd_start(struct crowd *c, int slots, size_t n)
{
	int go[2], stay[2], report[2];

	assert_return_code(pipe2(go, O_CLOEXEC), errno);
	assert_return_code(pipe2(stay, O_CLOEXEC), errno);
	assert_return_code(pipe2(report, O_CLOEXEC), errno);
	*c = (struct crowd){ .n = n, .go = go[1], .stay = stay[1], .report = report[0] };
	for (size_t i = 0; i < n; i++) {
		c->pids[i] = fork();
		assert_return_code(c->pids[i], errno);
		if (c->pids[i] == 0) {
			close(go[1]);
			close(stay[1]);
			crowd_child(slots, go[0], stay[0], report[1]);
		}
	}
	close(go[0]);
	close(stay[0]);
	close(report[1]);
}

static void crowd_end(struct crowd *c)
{
	close(c->stay);
	close(c->report);
	for (size_t i = 0; i < c->n; i++)
		assert_int_equal(waitpid(c->pids[i], NULL, 0), c->pids[i]);
}

/* Lets them go, and reads what became of them. */
static void crowd_go(struct crowd *c, struct crowd_report *ret)
{
	close(c->go);
	for (size_t i = 0; i < c->n; i++)
		assert_int_equal(read(c->report, &ret[i], sizeof(ret[i])), sizeof(ret[i]));
}

static void processes_may_register_at_once(void **state)
{
	struct crowd_report reports[8];

	(void)netns_or_skip(state);
	for (int round = 0; round < 20; round++) {
		CLEANUP_FD int slots = slots_make();
		uint64_t cookies[ISOMER_SLOTS];
		bool current = false;
		struct crowd crowd;

		crowd_start(&crowd, slots, LEN(reports));
		crowd_go(&crowd, reports);
		assert_int_equal(isomer_slots_read(slots, cookies), 0);
		for (size_t i = 0; i < LEN(reports); i++) {
			assert_in_range(reports[i].slot, 1, LEN(reports));
			assert_int_equal(cookies[reports[i].slot], reports[i].cookie);
			current = current || cookies[0] == reports[i].cookie;
		}
		assert_true(current);
		crowd_end(&crowd);
		slots_are(slots, NULL, 0);
	}
}

static void more_processes_than_standbys_may_register_at_once(void **state)
{
	struct crowd_report reports[CROWD_MAX];
	uint64_t cookies[ISOMER_SLOTS];
	CLEANUP_FD int slots = -1;
	unsigned without = 0;
	struct crowd crowd;

	(void)netns_or_skip(state);
	slots = slots_make();
	crowd_start(&crowd, slots, CROWD_MAX);
	crowd_go(&crowd, reports);
	assert_int_equal(isomer_slots_read(slots, cookies), 0);
	for (size_t i = 0; i < CROWD_MAX; i++) {
		assert_in_range(reports[i].slot, 0, STANDBYS);
		without += reports[i].slot == 0;
		if (reports[i].slot > 0)
			assert_int_equal(cookies[reports[i].slot], reports[i].cookie);
	}
	assert_int_equal(without, CROWD_MAX - STANDBYS);
	assert_true(cookies[0] != 0);
	crowd_end(&crowd);
}

/* ---- names ---- */

static void slots_have_names_of_their_own(void **state)
{
	char name[PATH_MAX] = "untouched";

	(void)state;
	assert_int_equal(isomer_slots_name("-", AF_INET, IPPROTO_TCP, name), -EINVAL);
	assert_int_equal(isomer_slots_name("a/b", AF_INET, IPPROTO_TCP, name), -EINVAL);
	assert_string_equal(name, "untouched");
	assert_int_equal(isomer_slots_name("foo", AF_INET, IPPROTO_TCP, name), 0);
	assert_string_equal(name, "labels/foo/ipv4-tcp");
	assert_int_equal(isomer_slots_name("..", AF_INET6, IPPROTO_UDP, name), 0);
	assert_string_equal(name, "labels/%2E%2E/ipv6-udp");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(the_first_socket_is_current_and_a_standby),
		netns_test(the_newest_is_current_and_the_older_stand_by),
		netns_test(udp_sockets_have_slots_too),
		netns_test(a_socket_that_sits_there_stays_as_it_is),
		netns_test(one_socket_may_serve_two_destinations),
		netns_test(standby_only_leaves_the_current_one),
		netns_test(taking_over_makes_a_standby_current),
		netns_test(when_all_standbys_are_taken_slot_0_is_left),
		netns_test(the_slot_above_the_highest_used_comes_first),
		netns_test(the_lowest_free_slot_comes_last),
		netns_test(death_empties_every_slot),
		netns_test(a_duplicate_keeps_the_socket),
		netns_test(a_fork_keeps_the_socket),
		netns_test(a_frozen_map_takes_nobody),
		netns_test(a_socket_in_the_wrong_state_is_not_put),
		netns_test(what_is_no_map_is_told),
		netns_test(processes_may_register_at_once),
		netns_test(more_processes_than_standbys_may_register_at_once),
		cmocka_unit_test(slots_have_names_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
