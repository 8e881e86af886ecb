/* SPDX-License-Identifier: BSD-3-Clause */
/* What a benchmark measures, and what it comes to. A call that fails ends the program. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "support/netns.h"

#define SERIES_MAX 4096

/* One thing, measured once a round; a round measures all things that are compared. */
struct series {
	double samples[SERIES_MAX];
	size_t n;
};

struct quartiles {
	double low, median, high;
};

void series_add(struct series *s, double sample);

struct quartiles series_quartiles(const struct series *s);

/** The quartiles of @a's samples divided by @b's of the same rounds: what disturbed a round has
 * disturbed both. */
struct quartiles series_ratio(const struct series *a, const struct series *b);

/** The mean of the middle half: the clock has steps of some 10 ns where the machine is virtual, and
 * an interrupt counts for nothing. */
double series_middle(const struct series *s);

double series_minimum(const struct series *s);

/** Nanoseconds of CLOCK_MONOTONIC. */
uint64_t figures_now(void);

_Noreturn void figures_give_up(const char *what);

/** A number from 1 to @max; 0 if @text is none. */
unsigned figures_number(const char *text, unsigned max);

/** Rounds from the operand, if there is one: 1 to @max. Says how to use @argv[0] and exits with 2
 * when it is none. */
unsigned figures_rounds(int argc, char **argv, unsigned fallback, unsigned max);

/** Enters namespaces of the benchmark's own, before other work of the machine in the scheduler's
 * eyes: for this program and what it starts. */
struct netns_fixture *figures_begin(void **state);

/** Keeps this thread on the processor that it runs on. */
void figures_stay_on_one_cpu(void);
