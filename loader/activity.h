/* SPDX-License-Identifier: BSD-3-Clause */
/* What happens under each label, by two looks at the counters: what `top` shows. */
#pragma once

#include <stdio.h>

#include "loader/destinations.h"
#include "loader/json.h"
#include "loader/netns.h"
#include "loader/process_sockets.h"

enum activity_counter { ACTIVITY_LOOKUPS, ACTIVITY_MISSES, ACTIVITY_ERRORS, ACTIVITY_COUNTERS };

struct activity_label {
	char name[ISOMER_LABEL_MAX + 1];
	uint64_t counts[ACTIVITY_COUNTERS]; /* of all its destinations */
	double rates[ACTIVITY_COUNTERS];    /* a second */
	size_t sockets;                     /* that are registered */
	/* Whose sockets get the traffic, as far as the caller may look into their processes. */
	struct socket_owner owners[DESTINATIONS_OF_LABEL];
	size_t n_owners;
};

struct activity {
	double time; /* seconds, of a clock that nobody sets */
	struct activity_label *labels;
	size_t n;
};

#define ACTIVITY_NONE                                                                              \
	(struct activity)                                                                          \
	{                                                                                          \
		.labels = NULL                                                                     \
	}

/** Reads the counters of all labels that are in use, and finds the owners of their sockets; rates
 * are 0. Errors as dispatcher_open(). */
int activity_read(const char *bpffs, const struct netns *ns, struct activity *ret);
void activity_done(struct activity *a);

/** Fills in the rates of @a since @before, and sorts it: the busiest label first. */
void activity_compare(struct activity *a, const struct activity *before);

/** Prints a line for each label below a heading. */
void activity_print(const struct activity *a, FILE *out);

/** Writes the member "labels". */
void activity_json(const struct activity *a, struct json *j);
