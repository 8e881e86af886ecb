/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "preload/udp_peers.h"

#define THREADS 4

static struct udp_address address(uint32_t host, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(host) };
	struct udp_address a;

	assert_true(udp_address_of(&in, sizeof(in), &a));
	return a;
}

static void set(uint64_t cookie, uint32_t peer, uint32_t local)
{
	struct udp_address from = address(peer, 1), to = address(local, 2);

	udp_peers_set(cookie, &from, &to);
}

/* 0: it was forgotten. */
static uint32_t find(uint64_t cookie, uint32_t peer)
{
	struct udp_address from = address(peer, 1), to;

	return udp_peers_find(cookie, &from, &to) ? ntohl(udp_address_in(&to).s_addr) : 0;
}

static void each_test_starts(void)
{
	assert_int_equal(udp_peers_start(), 0);
}

static void last_datagram_decides(void **state)
{
	struct udp_address peer = address(1, 1);

	(void)state;
	each_test_starts();
	assert_int_equal(find(1, 1), 0);
	set(1, 1, 100);
	assert_int_equal(find(1, 1), 100);
	set(1, 1, 101);
	assert_int_equal(find(1, 1), 101);
	assert_int_equal(find(2, 1), 0);
	assert_int_equal(find(1, 2), 0);
	udp_peers_forget(1, &peer);
	assert_int_equal(find(1, 1), 0);
	set(1, 1, 102);
	assert_int_equal(find(1, 1), 102);
}

static void hundred_thousand_peers_are_known(void **state)
{
	(void)state;
	each_test_starts();
	for (uint32_t i = 1; i <= 100000; i++)
		set(3, i, i + 7);
	for (uint32_t i = 1; i <= 100000; i++)
		assert_int_equal(find(3, i), i + 7);
}

/* A peer that goes on writing stays, whoever else does; one that does not is forgotten. */
static void least_recent_is_forgotten_first(void **state)
{
	unsigned known = 0;

	(void)state;
	each_test_starts();
	for (uint32_t i = 1; i <= 4 * UDP_PEERS_MAX; i++) {
		set(4, i + 1000, i);
		if (i % 1024 == 0)
			set(4, 1, 5);
	}
	assert_int_equal(find(4, 1), 5);
	for (uint32_t i = 1; i <= UDP_PEERS_MAX; i++)
		known += find(4, i + 1000) != 0;
	assert_int_equal(known, 0);
	for (uint32_t i = 4 * UDP_PEERS_MAX - 100000; i <= 4 * UDP_PEERS_MAX; i++)
		known += find(4, i + 1000) != 0;
	assert_true(known > 99000);
}

static void child_goes_on_with_its_own(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	each_test_starts();
	set(5, 1, 10);
	set(5, 2, 20);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		bool inherited = find(5, 1) == 10;

		set(5, 1, 11);
		_exit(inherited && find(5, 1) == 11 && find(5, 2) == 20 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(find(5, 1), 10);
}

static atomic_int torn;

/* Each sets its peers to what says which peer it is, in both halves of the address. */
static void *race(void *arg)
{
	uint64_t cookie = 6;

	for (uint32_t i = 0; i < 20000; i++) {
		struct udp_address peer = address(i % 64, 1), local;
		struct udp_address mine = address(i % 64, (uint16_t)(1 + (uintptr_t)arg));

		mine.addr[0] = mine.addr[1];
		udp_peers_set(cookie, &peer, &mine);
		if (udp_peers_find(cookie, &peer, &local) &&
		    (local.addr[0] != local.addr[1] || local.addr[1] != mine.addr[1] ||
		     local.port == 0 || ntohs(local.port) > THREADS))
			torn++;
	}
	return NULL;
}

static void threads_never_see_half_of_it(void **state)
{
	pthread_t thread[THREADS];

	(void)state;
	each_test_starts();
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, race, (void *)i), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(torn, 0);
	for (uint32_t i = 0; i < 64; i++) {
		struct udp_address peer = address(i, 1), local;

		assert_true(udp_peers_find(6, &peer, &local));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(last_datagram_decides),
		cmocka_unit_test(hundred_thousand_peers_are_known),
		cmocka_unit_test(least_recent_is_forgotten_first),
		cmocka_unit_test(child_goes_on_with_its_own),
		cmocka_unit_test(threads_never_see_half_of_it),
	};

	return cmocka_run_group_tests_name("peers of UDP sockets", tests, NULL, NULL);
}
