/* SPDX-License-Identifier: BSD-3-Clause */
/* The swap of the ruleset in every order: writers that are killed at any point and followed by
 * others, a reader, and a packet. All of them are the product's own code, loader/index.c and
 * bpf/dispatcher.bpf.c; the kernel is a model.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "loader/index.h"
#include "races/ruleset_world.h"
#include "support/explorer.h"
#include "support/host_program.h"

/* ---- processes ---- */

static struct dispatcher dispatcher_of(unsigned int process)
{
	struct dispatcher d = DISPATCHER_NONE;

	d.ruleset_fd = RULESET_FD;
	d.pages_fd = PAGES_FD;
	d.lock_fd = process == READER ? -1 : 1;
	snprintf(d.st.path, sizeof(d.st.path), "state");
	return d;
}

/* One index, its pages, its list, and nothing else. */
static void check_pins(void)
{
	const struct world *w = world();
	uint32_t in_force = world_id_in_force(w);

	explorer_check(in_force);
	for (uint32_t id = 1; id <= w->n_maps; id++)
		explorer_check(w->map[id - 1].pinned ==
			       (id == in_force || id == w->map[in_force - 1].list));
	for (int place = 0; place < ISOMER_PLACES; place++)
		explorer_check((w->place[place] != 0) == (place == w->map[in_force - 1].place));
	for (uint32_t id = 1; id <= w->n_maps; id++)
		explorer_check(w->map[id - 1].kind != PAGES || w->map[id - 1].gone ||
			       id == w->place[w->map[in_force - 1].place]);
	for (int fd = 0; fd < FDS; fd++)
		explorer_check(w->owner[fd] != explorer_process() + 1);
}

/* As change_begin() and change_commit() do. */
static void run_writer(unsigned int process)
{
	struct dispatcher d = dispatcher_of(process);
	uint64_t set = 0;
	struct bindings former = BINDINGS_NONE;
	struct bindings wanted = { .entries = world_binding[process + 1],
				   .n = world_bindings[process + 1] };

	EXPLORER_CALL("takes the lock", set)
	{
		if (world()->lock)
			explorer_block();
		world()->lock = (uint8_t)(process + 1);
		set = (uint64_t)world_set_in_force(world());
	}
	explorer_check(index_sweep(&d) == 0);
	explorer_check(index_read(&d, &former) == 0);
	explorer_check(former.n == world_bindings[set] && former.entries->destination == set);
	explorer_check(index_commit(&d, &wanted) == 0);
	explorer_check(world_set_in_force(world()) == (int)process + 1);
	check_pins();
	world()->lock = 0;
}

static void begin(unsigned int process)
{
	uint64_t nothing = 0;

	EXPLORER_CALL("begins", nothing)
	{
		world()->seen[process] = (uint8_t)(1 << world_set_in_force(world()));
		world()->under_way |= process == PACKET;
	}
}

static void run_reader(void)
{
	struct dispatcher d = dispatcher_of(READER);
	struct bindings set = BINDINGS_NONE;

	begin(READER);
	explorer_check(index_read(&d, &set) == 0);
	explorer_check(set.n == world_bindings[set.entries->destination]);
	explorer_check(world()->seen[READER] >> set.entries->destination & 1);
	for (int fd = 0; fd < FDS; fd++)
		explorer_check(world()->owner[fd] != READER + 1);
}

static void run_packet(void)
{
	struct model_lookup l = { AF_INET6, IPPROTO_TCP, 80, { 0 } };
	struct bpf_sk_lookup ctx = host_packet(&l);
	uint64_t nothing = 0;

	begin(PACKET);
	world_destination = -1;
	explorer_check(dispatcher(&ctx) == SK_DROP);
	explorer_check(world_destination >= 0 && world()->seen[PACKET] >> world_destination & 1);
	EXPLORER_CALL("the packet is done with", nothing)
	{
		world()->under_way = world()->outdated = 0;
	}
}

static void run(unsigned int process)
{
	if (process == PACKET)
		run_packet();
	else if (process == READER)
		run_reader();
	else
		run_writer(process);
}

static bool kill_process(unsigned int process)
{
	struct world *w = world();

	if (process == PACKET || (w->lock == process + 1 && w->updating))
		return false;
	for (int fd = 0; fd < FDS; fd++)
		if (w->owner[fd] == process + 1)
			w->fd[fd] = w->owner[fd] = 0;
	if (w->lock == process + 1)
		w->lock = 0;
	world_let_go();
	return true;
}

static unsigned int processes; /* how many of them there are */

/* Nobody waits for ever. */
static void check_end(void)
{
	for (unsigned int p = 0; p < processes; p++)
		explorer_check(explorer_has_ended(p));
}

/* ---- the tests ---- */

/* What the packet looks for, and with two pages what comes before that in the index. */
static void make_set(uint32_t set, size_t n)
{
	struct isomer_binding *b = world_binding[set];

	for (size_t i = 0; i < n; i++)
		b[i] = (struct isomer_binding){ .domain = i == 0 ? AF_INET6 : AF_INET,
						.protocol = IPPROTO_TCP,
						.prefixlen = i == 0 ? 128 : 32,
						.port_first = 80,
						.port_last = 80,
						.destination = set };
	world_bindings[set] = n;
	assert_int_equal(ruleset_compile(b, n, &world_compiled[set]), 0);
	assert_int_equal(ruleset_pages(&world_compiled[set]), n);
}

/* @n: pages of each set. A reader looks at the first one alone. */
static void explore_swaps(const size_t n[SETS], bool reader)
{
	struct world w = {
		.map = { { .kind = LIST, .pinned = 1, .frozen = 1, .written = 1 },
			 { .kind = RULES, .pinned = 1, .in_force = 1, .frozen = 1, .list = 1 } },
		.n_maps = 2,
	};
	struct explorer_count count;

	processes = reader ? PROCESSES : READER;
	for (uint32_t set = 0; set < SETS; set++)
		make_set(set, n[set]);
	w.map[1].written = 1;
	w.map[1].place = ISOMER_PLACES;
	if (n[0] > 1) {
		w.map[1].place = 0;
		w.map[w.n_maps] = (struct map){
			.kind = PAGES, .frozen = 1, .list = 1, .written = (1 << n[0]) - 1
		};
		w.place[0] = ++w.n_maps;
	}
	count = explore(&(struct exploration){
		.world = &w,
		.world_size = sizeof(w),
		.processes = processes,
		.run = run,
		.kill = kill_process,
		.end = check_end,
	});
	printf("%llu states, %llu ends\n", (unsigned long long)count.states,
	       (unsigned long long)count.ends);
	assert_true(count.ends > 0);
	for (int i = 0; i < SETS; i++)
		ruleset_done(&world_compiled[i]);
}

static void each_sees_one_whole_ruleset_that_was_in_force(void **state)
{
	(void)state;
	explore_swaps((const size_t[SETS]){ 1, 1, 1 }, true);
}

static void each_sees_the_pages_of_its_ruleset(void **state)
{
	(void)state;
	explore_swaps((const size_t[SETS]){ 2, 2, 2 }, false);
}

static void each_sees_its_ruleset_when_small_ones_and_large_ones_follow_each_other(void **state)
{
	(void)state;
	explore_swaps((const size_t[SETS]){ 2, 1, 2 }, false);
	explore_swaps((const size_t[SETS]){ 1, 2, 1 }, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_sees_one_whole_ruleset_that_was_in_force),
		cmocka_unit_test(each_sees_the_pages_of_its_ruleset),
		cmocka_unit_test(
			each_sees_its_ruleset_when_small_ones_and_large_ones_follow_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
