/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/figures.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

void series_add(struct series *s, double sample)
{
	if (s->n < SERIES_MAX)
		s->samples[s->n++] = sample;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct quartiles series_quartiles(const struct series *s)
{
	struct series sorted = *s;

	qsort(sorted.samples, sorted.n, sizeof(*sorted.samples), compare_doubles);
	return (struct quartiles){
		.low = sorted.samples[sorted.n / 4],
		.median = sorted.samples[sorted.n / 2],
		.high = sorted.samples[sorted.n * 3 / 4],
	};
}

struct quartiles series_ratio(const struct series *a, const struct series *b)
{
	struct series ratios = { .n = 0 };

	for (size_t i = 0; i < a->n && i < b->n; i++)
		series_add(&ratios, a->samples[i] / b->samples[i]);
	return series_quartiles(&ratios);
}

double series_middle(const struct series *s)
{
	struct quartiles q = series_quartiles(s);
	double sum = 0;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		if (s->samples[i] >= q.low && s->samples[i] <= q.high) {
			sum += s->samples[i];
			n++;
		}
	return sum / (double)n;
}

double series_minimum(const struct series *s)
{
	double least = s->samples[0];

	for (size_t i = 1; i < s->n; i++)
		if (s->samples[i] < least)
			least = s->samples[i];
	return least;
}

uint64_t figures_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void figures_give_up(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

unsigned figures_number(const char *text, unsigned max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	return *end == '\0' && n <= max ? (unsigned)n : 0;
}

unsigned figures_rounds(int argc, char **argv, unsigned fallback, unsigned max)
{
	unsigned rounds = fallback;

	if (argc > 1)
		rounds = argc == 2 ? figures_number(argv[1], max) : 0;
	if (rounds)
		return rounds;
	fprintf(stderr, "usage: %s [ROUNDS], 1 to %u\n", argv[0], max);
	exit(2);
}

struct netns_fixture *figures_begin(void **state)
{
	struct netns_fixture *ns;

	if (netns_setup(state) < 0)
		figures_give_up("namespaces");
	ns = *state;
	if (ns->setup_error) {
		errno = -ns->setup_error;
		figures_give_up("namespaces");
	}
	if (setpriority(PRIO_PROCESS, 0, -20) < 0)
		figures_give_up("priority");
	return ns;
}

void figures_stay_on_one_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET((unsigned int)sched_getcpu(), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) < 0)
		figures_give_up("affinity");
}
