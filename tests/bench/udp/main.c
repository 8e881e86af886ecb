/* SPDX-License-Identifier: BSD-3-Clause */
/* What a UDP server pays for answers from the address and port that the client used: an echo server
 * asked directly, under the library, and one that was written to do so itself by IP_PKTINFO. Prints
 * a table in Markdown; needs root. In namespaces of its own.
 *
 * usage: bench_udp [ROUNDS]
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/figures.h"
#include "bench/udp/load.h"
#include "integration/own_cgroup.h"
#include "state/cleanup.h"
#include "support/process.h"

#define AIM 0.90

#define ROUNDS_DEFAULT 101
#define ROUNDS_MAX     700 /* each takes FRESH ports */
#define PER_ROUND      512 /* datagrams */
#define FRESH          64
#define FRESH_FIRST    20000
#define OTHER_PORT     9000

/* ---- servers ---- */

enum server {
	PLAIN,    /* asked on an address of its own */
	LIBRARY,  /* the same program under the library, asked by a binding */
	BY_HAND,  /* with IP_PKTINFO, registered by the operator, asked by a binding */
	ATTACHED, /* the plain one in a cgroup of its own, asked by a binding */
	SERVERS
};

/* What is behind the style in their labels. */
static const char *const labels[SERVERS] = {
	[LIBRARY] = "library",
	[BY_HAND] = "by-hand",
	[ATTACHED] = "attached",
};

struct echo {
	struct process *process;
	char port[8];
	clockid_t clock; /* its CPU time */
};

static struct process *start_program(const char *style, enum server kind, const char *port,
				     const struct own_cgroup *cgroup)
{
	CLEANUP_FREE char *preload = NULL;
	CLEANUP_FREE char *label = NULL;
	struct process *p;

	if (kind == ATTACHED)
		return own_cgroup_start(cgroup, ISOMER_BENCH_SERVER, style, port, NULL);
	if (asprintf(&preload, "LD_PRELOAD=%s", preload_path()) < 0 ||
	    asprintf(&label, "ISOMER_LABEL=%s-%s", style, labels[LIBRARY]) < 0)
		figures_give_up("memory");
	p = process_start(&(struct process_options){
		.argv = kind == BY_HAND
				? (const char *const[]){ ISOMER_BENCH_SERVER, style, "pktinfo",
							 port, NULL }
				: (const char *const[]){ ISOMER_BENCH_SERVER, style, port, NULL },
		.env = kind == LIBRARY ? (const char *const[]){ preload, label, NULL } : NULL });
	process_wait_output(p, "ready");
	return p;
}

static struct echo start_echo(const char *style, enum server kind, unsigned number,
			      const struct own_cgroup *cgroup)
{
	struct echo e;

	snprintf(e.port, sizeof(e.port), "%u", 7000 + number);
	e.process = start_program(style, kind, e.port, cgroup);
	if (clock_getcpuclockid(process_pid(e.process), &e.clock) != 0)
		figures_give_up("clock");
	return e;
}

static void register_echo(const struct echo *e, const char *label)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)process_pid(e->process));
	loader_ok("register-pid", pid, label, "udp", "0.0.0.0", e->port, NULL);
}

/* ---- rounds ---- */

/* What is asked of which server. */
enum row {
	ROW_PLAIN,
	ROW_BY_HAND,
	ROW_LIBRARY,
	ROW_ATTACHED,
	ROW_OTHER_PORT,
	ROW_FIRST_REPLY,
	ROWS
};

static const struct {
	const char *name;
	enum server server;
} rows[ROWS] = {
	[ROW_PLAIN] = { "plain, asked directly", PLAIN },
	[ROW_BY_HAND] = { "`IP_PKTINFO` by hand", BY_HAND },
	[ROW_LIBRARY] = { "under the library, its own port", LIBRARY },
	[ROW_ATTACHED] = { "by `attach`, its own port", ATTACHED },
	[ROW_OTHER_PORT] = { "under the library, another port", LIBRARY },
	[ROW_FIRST_REPLY] = { "the same, first answer from a port", LIBRARY },
};

struct style {
	const char *name, *calls;
	struct echo echo[SERVERS];
	struct own_cgroup cgroup;
	char address[SERVERS][16];
	struct series rate[ROWS], cpu[ROWS];
};

static double cpu_time(const struct echo *e)
{
	struct timespec ts;

	if (clock_gettime(e->clock, &ts) < 0)
		figures_give_up("clock");
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static unsigned ask(const struct style *s, enum row row, unsigned round)
{
	enum server server = rows[row].server;
	uint16_t port = (uint16_t)strtoul(s->echo[server].port, NULL, 10);

	switch (row) {
	case ROW_FIRST_REPLY:
		load_ports(s->address[server], (uint16_t)(FRESH_FIRST + round * FRESH), FRESH);
		return FRESH;
	case ROW_OTHER_PORT:
		port = OTHER_PORT;
		break;
	default:
		break;
	}
	load_steady(s->address[server], port, PER_ROUND);
	return PER_ROUND;
}

static void measure(struct style *s, enum row row, unsigned round)
{
	const struct echo *e = &s->echo[rows[row].server];
	double cpu = cpu_time(e);
	uint64_t begin = figures_now();
	unsigned n = ask(s, row, round);

	series_add(&s->rate[row], n * 1e9 / (double)(figures_now() - begin));
	series_add(&s->cpu[row], (cpu_time(e) - cpu) / n);
}

/* ---- the table ---- */

static void print_row(const struct style *s, enum row row)
{
	struct quartiles rate = series_quartiles(&s->rate[row]);
	struct quartiles cpu = series_quartiles(&s->cpu[row]);
	struct quartiles rate_ratio = series_ratio(&s->rate[row], &s->rate[ROW_BY_HAND]);
	struct quartiles cpu_ratio = series_ratio(&s->cpu[row], &s->cpu[ROW_BY_HAND]);

	printf("| %s: %s | %.0f | %.0f to %.0f | %.3f (%.3f to %.3f) | %.0f | %.0f to %.0f | %.3f "
	       "(%.3f to %.3f) |\n",
	       s->calls, rows[row].name, rate.median, rate.low, rate.high, rate_ratio.median,
	       rate_ratio.low, rate_ratio.high, cpu.median, cpu.low, cpu.high, cpu_ratio.median,
	       cpu_ratio.low, cpu_ratio.high);
}

static bool print_verdict(const struct style *s)
{
	double rate = series_ratio(&s->rate[ROW_LIBRARY], &s->rate[ROW_BY_HAND]).median;
	bool met = rate >= AIM;

	printf("%s: the library's packets a second are %.3f of those by hand; the aim is %.2f: "
	       "%s.\n",
	       s->calls, rate, AIM, met ? "met" : "NOT met");
	return met;
}

/* ---- all of it ---- */

static void begin_style(struct style *s, unsigned number)
{
	char label[32], prefix[32];

	own_cgroup_make(&s->cgroup);
	snprintf(s->address[PLAIN], sizeof(s->address[0]), "127.0.0.1");
	for (unsigned i = 0; i < SERVERS; i++) {
		snprintf(label, sizeof(label), "%s-%s", s->name, labels[i] ? labels[i] : "");
		if (i != PLAIN) {
			snprintf(s->address[i], sizeof(s->address[i]), "127.0.%u.%u", 1 + number,
				 1 + i);
			snprintf(prefix, sizeof(prefix), "%s/32", s->address[i]);
			loader_ok("bind", label, "udp", prefix, "0", NULL);
		}
		s->echo[i] = start_echo(s->name, (enum server)i, number * SERVERS + i, &s->cgroup);
		if (i == BY_HAND)
			register_echo(&s->echo[i], label);
		else if (i == ATTACHED)
			loader_ok("attach", "-l", label, s->cgroup.path, NULL);
	}
}

int main(int argc, char **argv)
{
	static struct style styles[] = {
		{ .name = "one", .calls = "`recvfrom()`, `sendto()`" },
		{ .name = "many", .calls = "`recvmmsg()`, `sendmmsg()`" },
	};
	const unsigned n = sizeof(styles) / sizeof(*styles);
	unsigned rounds = figures_rounds(argc, argv, ROUNDS_DEFAULT, ROUNDS_MAX);
	bool met = true;
	void *state = NULL;

	figures_begin(&state);
	loader_ok("load", NULL);
	for (unsigned i = 0; i < n; i++)
		begin_style(&styles[i], i);
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < n * ROWS; i++) {
			unsigned turn = (i + round) % (n * ROWS);

			measure(&styles[turn / ROWS], (enum row)(turn % ROWS), round);
		}
	printf("| server | packets a second | quartiles | to those by hand (quartiles) | ns of the "
	       "server a packet | quartiles | to those by hand (quartiles) |\n"
	       "|---|---|---|---|---|---|---|\n");
	for (unsigned i = 0; i < n * ROWS; i++)
		print_row(&styles[i / ROWS], (enum row)(i % ROWS));
	printf("\n");
	for (unsigned i = 0; i < n; i++) {
		met = print_verdict(&styles[i]) && met;
		own_cgroup_done(&styles[i].cgroup);
	}
	if (netns_teardown(&state) < 0)
		return EXIT_FAILURE;
	return met ? EXIT_SUCCESS : EXIT_FAILURE;
}
