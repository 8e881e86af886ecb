/* SPDX-License-Identifier: BSD-3-Clause */
/* How the file of bindings fares that is watched: kept in the state by who watches it, for who
 * exports counters. A map that is pinned beside the others; only the loader knows it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "loader/dispatcher.h"
#include "loader/json.h"

struct reload_record {
	uint64_t applied, failed; /* how often the file was put in force, and how often not */
	uint64_t applied_at;      /* seconds since 1970, 0: never */
	uint64_t successful;      /* 1 if the last time was one of @applied */
};

/** Counts one more time. Takes no lock: there is one who watches. Returns 0 or -errno. */
int reload_record_add(const char *bpffs, const struct netns *ns, bool successful);

/** Returns 0, -ENOENT when no file is watched, or another negative errno. */
int reload_record_read(const struct dispatcher *d, struct reload_record *ret);

/** The file is watched no longer. */
void reload_record_remove(const char *bpffs, const struct netns *ns);

/** Writes the member "watched_file": null when @record is NULL. */
void reload_record_json(const struct reload_record *record, struct json *j);
