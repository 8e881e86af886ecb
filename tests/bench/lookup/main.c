/* SPDX-License-Identifier: BSD-3-Clause */
/* What a look-up costs: the dispatcher beside a program that does as the reference does, one that
 * does no more than count and assign, and an empty one; the same targets, in turns. Prints a table
 * in Markdown, and fails when an aim is not met. Needs root, gnuplot for the plot; in namespaces of
 * its own.
 *
 * usage: bench_lookup [ROUNDS [LARGEST [PLOT]]]
 */
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/figures.h"
#include "bench/lookup/plot.h"
#include "bench/lookup/programs.h"
#include "bench/lookup/rivals.h"
#include "bench/lookup/sets.h"
#include "bench/plot.h"
#include "state/cleanup.h"
#include "support/dispatcher_fixture.h"
#include "support/net.h"

#define ROUNDS_DEFAULT 7
#define ROUNDS_MAX     99
#define COLD_TARGETS   4096
#define WARM_TARGETS   32
#define ATTEMPTS       200 /* to find a target of a kind */

enum heat { WARM, COLD };

struct cell {
	const struct mix *mix;
	uint8_t protocol;
	size_t bindings;
	enum target_kind kind;
	struct series times[2][PROGRAMS]; /* by heat */
};

struct bench {
	struct dispatcher_fixture *dispatcher;
	struct rivals *rivals;
	int sockets[4][RIVALS_DESTINATIONS]; /* by protocol and domain */
	unsigned int rounds, missed;         /* aims */
	struct model_lookup targets[COLD_TARGETS];
};

static int program_fd(const struct bench *b, enum program program)
{
	return program == PROGRAM_DISPATCHER ? dispatcher_program(b->dispatcher)
					     : rivals_program(b->rivals, program);
}

/* ---- targets ---- */

/* Whether the set does with @target what @kind says. The reference has no ranges: in its trie they
 * are all ports, and nothing more can be said of it. */
static bool is_of_kind(const struct bench *b, const struct mix *mix,
		       const struct model_lookup *target, enum target_kind kind)
{
	uint64_t ours = run_once(program_fd(b, PROGRAM_DISPATCHER), target);

	if (mix->ports != MIX_RANGES &&
	    ours != run_once(program_fd(b, PROGRAM_REFERENCE), target)) {
		fprintf(stderr, "%s: the programs disagree\n", mix->name);
		exit(EXIT_FAILURE);
	}
	return (ours != 0) == (kind == TARGET_PORT || kind == TARGET_ALL);
}

static bool find_targets(struct bench *b, const struct cell *c, const struct isomer_binding *set)
{
	struct model_random random = { c->bindings * TARGET_KINDS + c->kind };

	if (c->kind == TARGET_ALL && (c->mix->ports != MIX_PORTS || c->bindings < 3))
		return false;
	for (size_t i = 0; i < COLD_TARGETS; i++) {
		int attempts = 0;

		do {
			if (attempts++ == ATTEMPTS)
				return false;
			b->targets[i] = set_target(&random, c->mix, set, c->bindings, c->kind);
		} while (!is_of_kind(b, c->mix, &b->targets[i], c->kind));
	}
	return true;
}

/* ---- measuring ---- */

static void measure_warm(const struct bench *b, struct cell *c)
{
	double sum[PROGRAMS] = { 0 };

	for (size_t i = 0; i < WARM_TARGETS; i++)
		for (enum program p = 0; p < PROGRAMS; p++)
			sum[p] += time_warm(program_fd(b, p), &b->targets[i]);
	for (enum program p = 0; p < PROGRAMS; p++)
		series_add(&c->times[WARM][p], sum[p] / WARM_TARGETS);
}

static void measure_cold(const struct bench *b, struct cell *c)
{
	static struct series s[PROGRAMS];

	for (enum program p = 0; p < PROGRAMS; p++) {
		s[p].n = 0;
		for (size_t i = 0; i < COLD_TARGETS; i++)
			series_add(&s[p], time_cold(program_fd(b, p), &b->targets[i]));
		series_add(&c->times[COLD][p], series_middle(&s[p]));
	}
}

/* Beyond the empty program's. */
static double cost(const struct cell *c, enum heat heat, enum program program)
{
	double net = series_quartiles(&c->times[heat][program]).median -
		     series_quartiles(&c->times[heat][PROGRAM_EMPTY]).median;

	return net > 1 ? net : 1;
}

/* ---- the table ---- */

/* How many times as fast as the reference's algorithm it has to be, with 5 % for noise. */
static double aim(size_t bindings, enum heat heat)
{
	if (bindings >= 100000)
		return heat == WARM ? 2 : 3;
	if (bindings >= 10000)
		return heat == WARM ? 1.6 : 2.5;
	return 1 / 1.05;
}

static const char *verdict(struct bench *b, bool met)
{
	b->missed += !met;
	return met ? "" : " NOT met";
}

static void print_heading(void)
{
	printf("| mix | protocol | bindings | target | empty | assign "
	       "| reference warm | isomer warm | minimum | ratio "
	       "| reference cold | isomer cold | minimum | ratio | aims |\n"
	       "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
}

static void print_cell(struct bench *b, const struct cell *c)
{
	const char *missed = "";

	printf("| %s | %s | %zu | %s | %.0f / %.0f | %.0f / %.0f ", c->mix->name,
	       c->protocol == IPPROTO_TCP ? "TCP" : "UDP", c->bindings, target_names[c->kind],
	       series_quartiles(&c->times[WARM][PROGRAM_EMPTY]).median,
	       series_quartiles(&c->times[COLD][PROGRAM_EMPTY]).median,
	       cost(c, WARM, PROGRAM_ASSIGN), cost(c, COLD, PROGRAM_ASSIGN));
	for (enum heat heat = WARM; heat <= COLD; heat++) {
		double reference = cost(c, heat, PROGRAM_REFERENCE);
		double ours = cost(c, heat, PROGRAM_DISPATCHER);

		printf("| %.0f | %.0f | %.0f | %.2f ", reference, ours,
		       series_minimum(&c->times[heat][PROGRAM_DISPATCHER]) -
			       series_minimum(&c->times[heat][PROGRAM_EMPTY]),
		       reference / ours);
		if (reference / ours < aim(c->bindings, heat))
			missed = verdict(b, false);
	}
	if (c->bindings == 100 && c->kind == TARGET_PORT &&
	    cost(c, WARM, PROGRAM_DISPATCHER) > 2.5 * cost(c, WARM, PROGRAM_ASSIGN))
		missed = verdict(b, false);
	printf("| %s |\n", *missed ? missed : "met");
	fflush(stdout);
}

/* ---- the matrix ---- */

static void bench_cell(struct bench *b, struct cell *c, const struct isomer_binding *set,
		       struct plot *plot)
{
	if (!find_targets(b, c, set))
		return;
	for (unsigned int i = 0; i < b->rounds; i++) {
		measure_warm(b, c);
		measure_cold(b, c);
	}
	print_cell(b, c);
	if (c->kind != TARGET_PORT || c->protocol != IPPROTO_TCP)
		return;
	for (enum heat heat = WARM; heat <= COLD; heat++)
		plot_add(plot, c->mix->name, heat == COLD, c->bindings,
			 cost(c, heat, PROGRAM_REFERENCE), cost(c, heat, PROGRAM_DISPATCHER));
}

static void bench_set(struct bench *b, const struct mix *mix, uint8_t protocol, size_t n,
		      struct plot *plot)
{
	int *sockets = b->sockets[(protocol == IPPROTO_UDP) * 2 + (mix->domain == AF_INET6)];
	struct isomer_binding *set = calloc(n, sizeof(*set));

	if (!set)
		figures_give_up("memory");
	set_make(mix, protocol, n, RIVALS_DESTINATIONS, set);
	dispatcher_publish(b->dispatcher, set, n);
	for (uint32_t i = 0; i < RIVALS_DESTINATIONS; i++)
		dispatcher_register(b->dispatcher, i, 0, sockets[i]);
	b->rivals = rivals_make(set, n, sockets);
	for (enum target_kind kind = 0; kind < TARGET_KINDS; kind++) {
		static struct cell c;

		c = (struct cell){ mix, protocol, n, kind, .times = { { { .n = 0 } } } };
		bench_cell(b, &c, set, plot);
	}
	rivals_free(b->rivals);
	free(set);
}

static void open_sockets(struct bench *b)
{
	for (int kind = 0; kind < 4; kind++)
		for (int i = 0; i < RIVALS_DESTINATIONS; i++) {
			const char *ip = kind & 1 ? "::1" : "127.0.0.1";
			int fd = kind & 2 ? udp_bind(ip, 0) : tcp_listen(ip, 0);

			if (fd < 0)
				figures_give_up("sockets");
			b->sockets[kind][i] = fd;
		}
}

static size_t number(int argc, char **argv, int i, size_t fallback)
{
	return argc > i ? strtoul(argv[i], NULL, 10) : fallback;
}

int main(int argc, char **argv)
{
	static struct bench b;
	static struct plot plot;
	size_t largest = number(argc, argv, 2, ISOMER_BINDINGS_MAX);
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
	void *state = NULL;

	b.rounds = (unsigned int)number(argc, argv, 1, ROUNDS_DEFAULT);
	if (argc > 4 || b.rounds == 0 || b.rounds > ROUNDS_MAX || largest == 0 ||
	    largest > ISOMER_BINDINGS_MAX) {
		fprintf(stderr, "usage: bench_lookup [ROUNDS [LARGEST [PLOT]]]\n");
		return 2;
	}
	if (argc > 3)
		plot_need();
	(void)figures_begin(&state);
	figures_stay_on_one_cpu();
	b.dispatcher = dispatcher_fixture_make(RIVALS_DESTINATIONS);
	dispatcher_make_slots(b.dispatcher, RIVALS_DESTINATIONS);
	open_sockets(&b);
	print_heading();
	for (size_t i = 0; i < n_mixes; i++)
		for (int p = 0; p < 2; p++)
			for (size_t n = 1; n <= largest; n *= 10)
				bench_set(&b, &mixes[i], protocols[p], n, &plot);
	if (argc > 3)
		plot_write(&plot, argv[3]);
	dispatcher_fixture_freep(&b.dispatcher);
	fprintf(stderr, "%u aims not met\n", b.missed);
	return netns_teardown(&state) < 0 || b.missed ? EXIT_FAILURE : EXIT_SUCCESS;
}
