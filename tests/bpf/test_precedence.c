/* SPDX-License-Identifier: BSD-3-Clause */
/* Which binding wins: the program, run by the kernel on made-up packets, against the model. Each
 * binding has a destination of its own with a socket in it, so the chosen socket tells the winner.
 */
#include <inttypes.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <cmocka.h>

#include <linux/bpf.h>

#include "state/cleanup.h"
#include "support/dispatcher_fixture.h"
#include "support/net.h"
#include "support/netns.h"

#define SETS     200
#define LOOKUPS  100 /* of each set */
#define BINDINGS 2000
#define BALLAST  10000 /* of each domain, in some sets */

/* A socket serves one domain and protocol: so many of each. A set that has more of one kind gives
 * some of them the same. */
#define KINDS        4
#define KIND_SIZE    700
#define DESTINATIONS (KINDS * KIND_SIZE)

static unsigned int kind_of(uint8_t domain, uint8_t protocol)
{
	return (domain == AF_INET6) * 2 + (protocol == IPPROTO_UDP);
}

static int make_socket(unsigned int kind)
{
	const char *ip = kind / 2 ? "::1" : "127.0.0.1";

	return kind % 2 ? udp_bind(ip, 0) : tcp_listen(ip, 0);
}

/* The sockets stay open until the program ends. */
static void fill_destinations(struct dispatcher_fixture *f, uint64_t *ret_cookies)
{
	const struct rlimit limit = { DESTINATIONS * 3, DESTINATIONS * 3 };

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		skip_or_fail("no right to open enough files");
	dispatcher_make_slots(f, DESTINATIONS);
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		int fd = make_socket(i / KIND_SIZE);

		assert_return_code(fd, -fd);
		dispatcher_register(f, i, 0, fd);
		ret_cookies[i] = net_cookie(fd);
	}
}

static size_t make_set(struct model_random *random, size_t most, struct isomer_binding *ret)
{
	struct model_field field;
	uint32_t used[KINDS] = { 0 };
	size_t n;

	model_field_make(random, &field);
	n = model_bindings(random, &field, ret, 1 + model_random(random, most));
	for (size_t i = 0; i < n; i++) {
		unsigned int kind = kind_of(ret[i].domain, ret[i].protocol);

		ret[i].destination = kind * KIND_SIZE + used[kind]++ % KIND_SIZE;
	}
	return n;
}

static size_t add_ballast(struct isomer_binding *bindings, size_t n)
{
	model_ballast(bindings + n, BALLAST, AF_INET, kind_of(AF_INET, IPPROTO_TCP) * KIND_SIZE);
	n += BALLAST;
	model_ballast(bindings + n, BALLAST, AF_INET6, kind_of(AF_INET6, IPPROTO_TCP) * KIND_SIZE);
	return n + BALLAST;
}

struct counts {
	unsigned int lookups, matched, overlapping, by_ports;
};

static void check(const struct dispatcher_fixture *f, const struct isomer_binding *bindings,
		  size_t n, const struct model_lookup *l, const uint64_t *cookies,
		  struct counts *counts)
{
	struct model_answer answer = model_search(bindings, n, l);
	uint64_t cookie = 0;

	assert_int_equal(dispatcher_run(f, l, &cookie), SK_PASS);
	assert_int_equal(cookie, answer.winner ? cookies[answer.winner->destination] : 0);
	counts->lookups++;
	counts->matched += answer.matches > 0;
	counts->overlapping += answer.matches > 1;
	counts->by_ports += answer.by_ports;
}

static void program_agrees_with_the_model(void **state)
{
	CLEANUP(dispatcher_fixture_freep) struct dispatcher_fixture *f = NULL;
	struct model_random random = model_random_make(1);
	static struct isomer_binding bindings[BINDINGS + 2 * BALLAST];
	static uint64_t cookies[DESTINATIONS];
	struct counts counts = { 0 };

	netns_or_skip(state);
	f = dispatcher_fixture_make(DESTINATIONS);
	dispatcher_need_run(f);
	fill_destinations(f, cookies);
	for (int set = 0; set < SETS; set++) {
		size_t n = make_set(&random, set % 3 ? BINDINGS : 20, bindings), all = n;

		/* Sets of this size alone have one tree for a port. */
		if (set % 10 == 0)
			all = add_ballast(bindings, n);
		dispatcher_publish(f, bindings, all);
		for (int i = 0; i < LOOKUPS; i++) {
			struct model_lookup l = model_lookup_near(&random, bindings, n);

			check(f, bindings, all, &l, cookies, &counts);
		}
	}
	printf("%u lookups, %u matched, %u by two or more bindings, %u decided by ports\n",
	       counts.lookups, counts.matched, counts.overlapping, counts.by_ports);
	assert_in_range(counts.overlapping * 100, counts.lookups * 30, UINT32_MAX);
	assert_in_range(counts.by_ports * 100, counts.lookups * 10, UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(program_agrees_with_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
