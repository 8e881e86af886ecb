/* SPDX-License-Identifier: BSD-3-Clause */
/* The programs that are compared (rivals.bpf.c), and how long one takes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <isomer/abi.h>

#include "support/ruleset_model.h"

enum program {
	PROGRAM_EMPTY,
	PROGRAM_ASSIGN,
	PROGRAM_REFERENCE,
	PROGRAM_DISPATCHER,
	PROGRAMS,
};

struct rivals;

/** Loads all but the dispatcher, with @set in the reference's trie. @sockets: of the destinations,
 * RIVALS_DESTINATIONS descriptors. */
struct rivals *rivals_make(const struct isomer_binding *set, size_t n, const int *sockets);
int rivals_program(const struct rivals *r, enum program program);
void rivals_free(struct rivals *r);

/** Runs a program once on @target. Returns the cookie of the socket that it chose, or 0. */
uint64_t run_once(int program, const struct model_lookup *target);

/** Mean nanoseconds of a run on @target, again and again: everything is in the caches. */
double time_warm(int program, const struct model_lookup *target);

/** Nanoseconds of one run on @target, once what was in the near caches has been displaced. */
double time_cold(int program, const struct model_lookup *target);
