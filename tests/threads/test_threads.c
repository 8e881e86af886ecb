/* SPDX-License-Identifier: BSD-3-Clause */
/* The library's objects linked into a program whose threads do what the library stands in front
 * of, all at once: under ThreadSanitizer, which has to see both (preset "tsan").
 */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "preload/places.h"
#include "state/cleanup.h"
#include "state/slots.h"
#include "support/net.h"
#include "support/netns.h"
#include "support/process.h"

#define THREADS 8
#define ROUNDS  20

static pthread_barrier_t barrier;
static atomic_int failures;

/* Sockets of the label's slots, each counted once. */
static unsigned int registered(const struct netns_fixture *ns, const char *label, uint8_t protocol)
{
	uint64_t cookies[ISOMER_SLOTS];
	struct isomer_state st;
	CLEANUP_FD int fd = -1;
	unsigned int n = 0;

	assert_int_equal(isomer_state_open(ns->bpffs, ns->netns_inode, &st), 0);
	assert_int_equal(isomer_slots_open(&st, label, AF_INET, protocol, &fd), 0);
	assert_int_equal(isomer_slots_read(fd, cookies), 0);
	for (unsigned int i = 1; i < ISOMER_SLOTS; i++)
		n += cookies[i] != 0;
	return n;
}

static void run_threads(void *(*code)(void *))
{
	pthread_t thread[THREADS];

	failures = 0;
	assert_int_equal(pthread_barrier_init(&barrier, NULL, THREADS), 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, code, (void *)i), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	pthread_barrier_destroy(&barrier);
	assert_int_equal(failures, 0);
}

static int shared[THREADS];

/* All members of one SO_REUSEPORT group. */
static void *listen_together(void *arg)
{
	pthread_barrier_wait(&barrier);
	shared[(uintptr_t)arg] = tcp_listen_reuseport("127.0.0.1", 1001);
	failures += shared[(uintptr_t)arg] < 0;
	return NULL;
}

static void of_a_group_two_are_registered(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);

	loader_ok("load", NULL);
	loader_ok("bind", "one", "tcp", "127.0.1.1", "80", NULL);
	for (int round = 0; round < ROUNDS; round++) {
		run_threads(listen_together);
		assert_int_equal(registered(ns, "one", IPPROTO_TCP), PLACE_SOCKETS);
		for (size_t i = 0; i < THREADS; i++)
			close(shared[i]);
	}
	assert_int_equal(registered(ns, "one", IPPROTO_TCP), 0);
}

/* Sockets that come and go, each thread's on ports of its own; and one whose label is unknown, so
 * that all have something to say. */
static void *come_and_go(void *arg)
{
	uint16_t port = (uint16_t)(2000 + (uintptr_t)arg);

	pthread_barrier_wait(&barrier);
	for (int round = 0; round < ROUNDS; round++) {
		CLEANUP_FD int tcp = tcp_listen("127.0.0.1", port);
		CLEANUP_FD int udp = udp_bind("127.0.0.1", port);
		CLEANUP_FD int lost = tcp_listen("127.0.0.1", (uint16_t)(port + 1000));

		failures += tcp < 0 || udp < 0 || lost < 0;
	}
	return NULL;
}

static void who_comes_and_goes_leaves_nothing(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);

	loader_ok("load", NULL);
	loader_ok("bind", "many", "tcp", "127.0.1.1", "80", NULL);
	run_threads(come_and_go);
	assert_int_equal(registered(ns, "many", IPPROTO_TCP), 0);
	assert_int_equal(registered(ns, "many", IPPROTO_UDP), 0);
}

/* ---- answers ---- */

#define ASKED 40 /* ports by each thread */

static int server;
static atomic_int asking;

static void send_end(void)
{
	CLEANUP_FD int fd = udp_connect("127.0.0.1", 2500);

	failures += fd < 0 || send(fd, "end", 3, 0) != 3;
}

/* Until one of them is the end, which is left for the next thread, too. */
static void *answer(unsigned int batch)
{
	char text[2][16];
	struct sockaddr_storage peer[2];
	struct iovec iov[2];
	struct mmsghdr v[2];
	bool end = false;

	while (!end) {
		int n;

		for (unsigned int i = 0; i < batch; i++) {
			iov[i] = (struct iovec){ text[i], sizeof(text[i]) };
			v[i].msg_hdr = (struct msghdr){ .msg_name = &peer[i],
							.msg_namelen = sizeof(peer[i]),
							.msg_iov = &iov[i],
							.msg_iovlen = 1 };
		}
		n = recvmmsg(server, v, batch, MSG_WAITFORONE, NULL);
		for (int i = 0; i < n; i++) {
			iov[i].iov_len = v[i].msg_len;
			end |= v[i].msg_len == 3;
		}
		failures += n < 0 || sendmmsg(server, v, (unsigned int)n, 0) != n;
	}
	send_end();
	return NULL;
}

/* Half of the threads ask on ports of their own, and give the server's socket other numbers
 * meanwhile; the other half answers. */
static void *ask_or_answer(void *arg)
{
	uintptr_t self = (uintptr_t)arg;
	char text[16];

	pthread_barrier_wait(&barrier);
	if (self % 2)
		return answer(1 + self / 2 % 2);
	for (unsigned int i = 0; i < ASKED; i++) {
		CLEANUP_FD int copy = dup(server);
		uint16_t port = (uint16_t)(5000 + self * ASKED + i);

		failures += copy < 0 ||
			    udp_exchange("127.0.1.1", port, "text", text, sizeof(text)) != 4;
	}
	if (--asking == 0)
		send_end();
	return NULL;
}

static void who_asks_is_answered_by_some_thread(void **state)
{
	(void)netns_or_skip(state);
	loader_ok("load", NULL);
	loader_ok("bind", "many", "udp", "127.0.1.1", "5000-5999", NULL);
	server = udp_bind("127.0.0.1", 2500);
	assert_return_code(server, -server);
	asking = THREADS / 2;
	run_threads(ask_or_answer);
	close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(of_a_group_two_are_registered),
		netns_test(who_comes_and_goes_leaves_nothing),
		netns_test(who_asks_is_answered_by_some_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
