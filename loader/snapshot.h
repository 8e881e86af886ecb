/* SPDX-License-Identifier: BSD-3-Clause */
/* What noun commands show: bindings and destinations as a reader finds them, and their tables. */
#pragma once

#include "loader/bindings.h"
#include "loader/destinations.h"
#include "loader/json.h"

struct snapshot {
	struct bindings bindings; /* sorted */
	struct destinations destinations;
	/* By id; points into @destinations. */
	const struct destination **by_id;
	uint32_t n_ids;
};

#define SNAPSHOT_NONE                                                                              \
	(struct snapshot)                                                                          \
	{                                                                                          \
		.by_id = NULL                                                                      \
	}

/** Returns 0, -EAGAIN when a binding has no label, which means that an upgrade to more room has put
 * other maps in place since the dispatcher was opened, or another negative errno. */
int snapshot_read(const struct dispatcher *d, struct snapshot *ret);

/** A snapshot of bindings that a writer has read already; takes them out of @bindings. Returns 0 or
 * -errno, and @bindings is as it was. */
int snapshot_of(const struct dispatcher *d, struct bindings *bindings, struct snapshot *ret);

/** Opens the dispatcher for reading and reads it, anew when an upgrade was faster. Errors as of
 * dispatcher_open() and snapshot_read(). */
int snapshot_take(const char *bpffs, const struct netns *ns, struct dispatcher *ret_d,
		  struct snapshot *ret);

void snapshot_done(struct snapshot *s);

/** Label of a destination; "?" for one that went away while the snapshot was taken. */
const char *snapshot_label(const struct snapshot *s, uint32_t id);

/** Keeps the bindings for which @keep returns true. */
void snapshot_filter(struct snapshot *s,
		     bool (*keep)(const struct snapshot *s, const struct isomer_binding *binding,
				  const void *arg),
		     const void *arg);

/** Prints "Bindings:" and their table. */
void snapshot_print_bindings(const struct snapshot *s);

/** Writes the member "bindings", in the form that load-bindings reads. */
void snapshot_json_bindings(const struct snapshot *s, struct json *j);
