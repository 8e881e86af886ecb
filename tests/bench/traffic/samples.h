/* SPDX-License-Identifier: BSD-3-Clause */
/* What was measured, kept in a file round by round, so that a run that was interrupted can go on.
 * The first line says of which ways; each other one is a round of one protocol.
 */
#pragma once

#include <stddef.h>

#include "bench/figures.h"
#include "bench/traffic/ways.h"

/** Nanoseconds of each way, by round; none of one that was left out or that the machine lacks. */
struct samples {
	const char *protocol; /* "udp" or "tcp" */
	size_t bindings;      /* ways with more of them are left out */
	size_t rounds;
	struct series ways[WAYS_MAX];
};

/** Adds the rounds that the file has of this protocol. One of other ways ends the program. */
void samples_read(struct samples *s, const char *path);

/** Adds a round, and appends it to the file. @path: NULL for none. @values: NAN for none. */
void samples_add(struct samples *s, const char *path, const double *values);
