/* SPDX-License-Identifier: BSD-3-Clause */
/* Rulesets that replace each other while every processor looks something up all the time. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "state/cleanup.h"
#include "support/dispatcher_fixture.h"
#include "support/net.h"
#include "support/netns.h"

#define SWAPS_DEFAULT 100 /* ISOMER_TEST_SWAPS */
#define THREADS_MAX   64

/* What is looked up: one of each family and protocol. */
#define TARGETS 4

/* Ruleset number n sends target t to the destination n % TURNS * TARGETS + t. */
#define TURNS        16
#define DESTINATIONS (TURNS * TARGETS)

/* Rulesets differ in size, too, so that nothing of one has its place in the next. */
#define BALLAST_MAX 1500

struct swaps {
	struct dispatcher_fixture *f;
	struct model_lookup target[TARGETS];
	uint64_t cookie[DESTINATIONS];
	atomic_uint begun, returned; /* number of the ruleset that is put in force, that is so */
	atomic_bool end;
};

/* A thread that looks up. */
struct searcher {
	struct swaps *swaps;
	pthread_t thread;
	int cpu;
	uint64_t formers, latters; /* verdicts while a ruleset was replaced by the next */
	uint64_t lookups, wrong;
};

/* ---- rulesets ---- */

static void set_targets(struct swaps *s)
{
	for (int t = 0; t < TARGETS; t++) {
		struct model_lookup *l = &s->target[t];

		*l = (struct model_lookup){
			.domain = t & 1 ? AF_INET6 : AF_INET,
			.protocol = t & 2 ? IPPROTO_UDP : IPPROTO_TCP,
			.port = 80,
		};
		assert_int_equal(inet_pton(l->domain, t & 1 ? "2001:db8::7" : "192.0.2.7", l->addr),
				 1);
	}
}

static void publish(struct swaps *s, unsigned int number)
{
	static struct isomer_binding set[TARGETS + BALLAST_MAX];
	unsigned int ballast = number * 397 % BALLAST_MAX;

	for (unsigned int t = 0; t < TARGETS; t++) {
		const struct model_lookup *l = &s->target[t];

		set[t] = (struct isomer_binding){
			.domain = l->domain,
			.protocol = l->protocol,
			.prefixlen = l->domain == AF_INET ? 32 : 128,
			.port_first = l->port,
			.port_last = l->port,
			.destination = number % TURNS * TARGETS + t,
		};
		memcpy(set[t].addr, l->addr, sizeof(l->addr));
	}
	model_ballast(set + TARGETS, ballast, number & 1 ? AF_INET6 : AF_INET, 0);
	dispatcher_publish(s->f, set, TARGETS + ballast);
}

static void open_sockets(struct swaps *s, int fds[DESTINATIONS])
{
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		const struct model_lookup *l = &s->target[i % TARGETS];
		const char *ip = l->domain == AF_INET ? "127.0.0.1" : "::1";

		fds[i] = l->protocol == IPPROTO_TCP ? tcp_listen(ip, 0) : udp_bind(ip, 0);
		assert_return_code(fds[i], -fds[i]);
		s->cookie[i] = net_cookie(fds[i]);
		dispatcher_register(s->f, i, 0, fds[i]);
	}
}

/* ---- verdicts ---- */

/* The oldest ruleset from @from to @to that has this verdict on target @t; 0 for none. */
static unsigned int find_ruleset(const struct swaps *s, unsigned int t, uint64_t cookie,
				 unsigned int from, unsigned int to)
{
	for (unsigned int n = from; n <= to; n++)
		if (s->cookie[n % TURNS * TARGETS + t] == cookie)
			return n;
	return 0;
}

/* Returns the number of the ruleset that the verdict is from, 0 for one that was not in force; no
 * ruleset before @from may be. */
static unsigned int look_up(struct searcher *r, unsigned int t, unsigned int from)
{
	struct swaps *s = r->swaps;
	unsigned int returned = atomic_load(&s->returned), begun, n;
	uint64_t cookie = 0;
	int verdict;

	if (returned > from)
		from = returned;
	if (dispatcher_try_run(s->f, &s->target[t], &verdict, &cookie) < 0 || verdict != SK_PASS)
		return 0;
	begun = atomic_load(&s->begun);
	n = find_ruleset(s, t, cookie, from, begun);
	if (begun == from + 1) {
		r->formers += n == from;
		r->latters += n == begun;
	}
	return n;
}

/* What was seen to be in force once is not followed by an older one, on whatever target. */
static void *search(void *data)
{
	struct searcher *r = data;
	unsigned int n = 1, seen;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET((unsigned int)r->cpu, &cpus);
	(void)sched_setaffinity(0, sizeof(cpus), &cpus);
	while (!atomic_load(&r->swaps->end)) {
		seen = look_up(r, (unsigned int)(r->lookups++ % TARGETS), n);
		if (seen)
			n = seen;
		else
			r->wrong++;
	}
	return NULL;
}

/* ---- the test ---- */

/* One on each processor that the test may use. */
static int start(struct swaps *s, struct searcher searchers[THREADS_MAX])
{
	cpu_set_t cpus;
	int n = 0;

	assert_return_code(sched_getaffinity(0, sizeof(cpus), &cpus), errno);
	for (int cpu = 0; cpu < CPU_SETSIZE && n < THREADS_MAX; cpu++) {
		if (!CPU_ISSET((unsigned int)cpu, &cpus))
			continue;
		searchers[n] = (struct searcher){ .swaps = s, .cpu = cpu };
		assert_int_equal(pthread_create(&searchers[n].thread, NULL, search, &searchers[n]),
				 0);
		n++;
	}
	return n;
}

static unsigned int swaps_wanted(void)
{
	const char *text = getenv("ISOMER_TEST_SWAPS");

	return text ? (unsigned int)strtoul(text, NULL, 10) : SWAPS_DEFAULT;
}

static void check(const struct searcher *searchers, int n)
{
	uint64_t formers = 0, latters = 0;

	for (int i = 0; i < n; i++) {
		assert_int_equal(searchers[i].wrong, 0);
		assert_in_range(searchers[i].lookups, 1, UINT64_MAX);
		formers += searchers[i].formers;
		latters += searchers[i].latters;
	}
	print_message("on %d processors: while rulesets were replaced, %llu verdicts of the former "
		      "and %llu of the next\n",
		      n, (unsigned long long)formers, (unsigned long long)latters);
	assert_in_range(formers, 1, UINT64_MAX);
	assert_in_range(latters, 1, UINT64_MAX);
}

static void verdict_is_of_the_old_or_the_new_and_never_of_the_old_after_the_swap(void **state)
{
	CLEANUP(dispatcher_fixture_freep) struct dispatcher_fixture *f = NULL;
	static struct searcher searchers[THREADS_MAX];
	static struct swaps s;
	unsigned int swaps = swaps_wanted();
	int fds[DESTINATIONS], n;

	netns_or_skip(state);
	f = dispatcher_fixture_make(DESTINATIONS);
	dispatcher_need_run(f);
	s = (struct swaps){ .f = f, .begun = 1, .returned = 1 };
	dispatcher_make_slots(f, DESTINATIONS);
	set_targets(&s);
	open_sockets(&s, fds);
	publish(&s, 1);
	n = start(&s, searchers);
	for (unsigned int i = 2; i < 2 + swaps; i++) {
		atomic_store(&s.begun, i);
		publish(&s, i);
		atomic_store(&s.returned, i);
	}
	atomic_store(&s.end, true);
	for (int i = 0; i < n; i++)
		assert_int_equal(pthread_join(searchers[i].thread, NULL), 0);
	check(searchers, n);
	for (int i = 0; i < DESTINATIONS; i++)
		close(fds[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(verdict_is_of_the_old_or_the_new_and_never_of_the_old_after_the_swap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
