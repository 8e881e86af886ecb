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
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
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
#define HOSTS    10000 /* of each domain, where there are only hosts */

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

/* Of the destinations. */
struct sockets {
	int fd[DESTINATIONS];
	uint64_t cookie[DESTINATIONS];
};

static void fill_destinations(struct dispatcher_fixture *f, struct sockets *ret)
{
	const struct rlimit limit = { DESTINATIONS * 3, DESTINATIONS * 3 };

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		skip_or_fail("no right to open enough files");
	dispatcher_make_slots(f, DESTINATIONS);
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		int fd = make_socket(i / KIND_SIZE);

		assert_return_code(fd, -fd);
		dispatcher_register(f, i, 0, fd);
		ret->fd[i] = fd;
		ret->cookie[i] = net_cookie(fd);
	}
}

static void close_sockets(const struct sockets *s)
{
	for (uint32_t i = 0; i < DESTINATIONS; i++)
		close(s->fd[i]);
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
		  size_t n, const struct model_lookup *l, const struct sockets *s,
		  struct counts *counts)
{
	struct model_answer answer = model_search(bindings, n, l);
	uint64_t cookie = 0;

	assert_int_equal(dispatcher_run(f, l, &cookie), SK_PASS);
	assert_int_equal(cookie, answer.winner ? s->cookie[answer.winner->destination] : 0);
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
	static struct sockets sockets;
	struct counts counts = { 0 };

	netns_or_skip(state);
	f = dispatcher_fixture_make(DESTINATIONS);
	dispatcher_need_run(f);
	fill_destinations(f, &sockets);
	for (int set = 0; set < SETS; set++) {
		size_t n = make_set(&random, set % 3 ? BINDINGS : 20, bindings), all = n;

		/* Sets of this size alone have one tree for a port. */
		if (set % 10 == 0)
			all = add_ballast(bindings, n);
		dispatcher_publish(f, bindings, all);
		for (int i = 0; i < LOOKUPS; i++) {
			struct model_lookup l = model_lookup_near(&random, bindings, n);

			check(f, bindings, all, &l, &sockets, &counts);
		}
	}
	close_sockets(&sockets);
	printf("%u lookups, %u matched, %u by two or more bindings, %u decided by ports\n",
	       counts.lookups, counts.matched, counts.overlapping, counts.by_ports);
	assert_in_range(counts.overlapping * 100, counts.lookups * 30, UINT32_MAX);
	assert_in_range(counts.by_ports * 100, counts.lookups * 10, UINT32_MAX);
}

/* Hosts of both domains that differ in one word of the address, of which IPv6 has the first bits in
 * common. */
static size_t make_hosts(unsigned int word, struct isomer_binding *ret)
{
	for (uint32_t i = 0; i < 2 * HOSTS; i++) {
		uint32_t number = i * 0x9e3779b1, at = i < HOSTS ? 0 : 4 * word;
		struct isomer_binding b = {
			.domain = i < HOSTS ? AF_INET : AF_INET6,
			.protocol = IPPROTO_TCP,
			.prefixlen = i < HOSTS ? 32 : 128,
			.port_first = 80,
			.port_last = 80,
		};

		number = htonl(i < HOSTS ? number : 0x0a000000 | (number & 0xffffff));
		memcpy(b.addr + at, &number, sizeof(number));
		b.destination = kind_of(b.domain, b.protocol) * KIND_SIZE + i % KIND_SIZE;
		ret[i] = b;
	}
	return 2 * HOSTS;
}

static void program_agrees_with_the_model_about_tables(void **state)
{
	CLEANUP(dispatcher_fixture_freep) struct dispatcher_fixture *f = NULL;
	struct model_random random = model_random_make(2);
	static struct isomer_binding bindings[2 * HOSTS];
	static struct sockets sockets;
	struct counts counts = { 0 };

	netns_or_skip(state);
	f = dispatcher_fixture_make(DESTINATIONS);
	dispatcher_need_run(f);
	fill_destinations(f, &sockets);
	for (unsigned int word = 0; word < 4; word++) {
		size_t n = make_hosts(word, bindings);

		dispatcher_publish(f, bindings, n);
		for (int i = 0; i < 10 * LOOKUPS; i++) {
			struct model_lookup l = model_lookup_near(&random, bindings, n);

			check(f, bindings, n, &l, &sockets, &counts);
		}
	}
	close_sockets(&sockets);
	assert_in_range(counts.matched * 100, counts.lookups * 20, UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(program_agrees_with_the_model),
		netns_test(program_agrees_with_the_model_about_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
