/* SPDX-License-Identifier: BSD-3-Clause */
/* The index in force and the operator's bindings that it was made from, as maps: reading them,
 * and replacing them in one step.
 *
 * `ruleset`[0] holds the index. Its pin is rules-<id>, its header names the list, whose pin is
 * list-<id>. A reader goes from `ruleset`[0] to the list and takes no lock; when the writer was
 * faster it starts again.
 */
#pragma once

#include "loader/bindings.h"
#include "loader/dispatcher.h"
#include "loader/ruleset.h"

/** Kernel's id of the index in force, 0 when there was none yet: another one after each change.
 * Returns 0 or -errno. */
int index_in_force(const struct dispatcher *d, uint32_t *ret_id);

/** Reads the bindings in force; an empty set when there was none yet. Returns 0 or -errno. */
int index_read(const struct dispatcher *d, struct bindings *ret);

/**
 * Compiles @set and puts it in force, in one step. Needs a dispatcher opened for writing. Returns
 * 0, or -errno with the former set still in force.
 */
int index_commit(const struct dispatcher *d, const struct bindings *set);

/** Removes pins of indexes and lists that are not in force: left by a writer that was killed. */
int index_sweep(const struct dispatcher *d);

/** Makes the map of a compiled ruleset, frozen. The descriptor is the caller's. Returns 0 or
 * -errno. */
int index_create_map(const struct ruleset *rs, int *ret_fd);
