/* SPDX-License-Identifier: BSD-3-Clause */
/* Destinations that are in use, with their sockets and counters, and the grants of labels: what
 * `status` shows and `metrics` exports.
 */
#pragma once

#include "loader/grants.h"
#include "loader/json.h"
#include "loader/snapshot.h"

struct destination_view {
	const struct destination *destination; /* of the snapshot */
	size_t bindings;                       /* that point at it */
	uint64_t slots[ISOMER_SLOTS];          /* cookies, 0 where there is none */
	bool hidden;                           /* the grantee lets nobody look at the slots */
	uint64_t serving; /* cookie of the socket that gets the traffic, or 0 */
	struct isomer_metrics metrics;
};

struct grant_view {
	const char *label; /* of the snapshot */
	struct label_grant grant;
};

struct overview {
	struct destination_view *destinations;
	size_t n_destinations;
	struct grant_view *grants;
	size_t n_grants;
};

#define OVERVIEW_NONE                                                                              \
	(struct overview)                                                                          \
	{                                                                                          \
		.destinations = NULL                                                               \
	}

/**
 * Reads what belongs to the snapshot, which must outlive it; @label: only of that label, or NULL.
 * A label always has four destinations; those without binding, socket and traffic are left out.
 * Returns 0 or -errno.
 */
int overview_read(const struct dispatcher *d, const struct snapshot *s, const char *label,
		  struct overview *ret);
void overview_done(struct overview *o);

/** Prints "Destinations:" and, if there is any, "Grants:". */
void overview_print(const struct overview *o);

/** Writes the members "destinations" and "grants". */
void overview_json(const struct overview *o, struct json *j);
