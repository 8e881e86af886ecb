/* SPDX-License-Identifier: BSD-3-Clause */
/* The index in force and the operator's bindings that it was made from, as maps: reading them,
 * and replacing them in one step.
 *
 * `ruleset`[0] holds the first page of the index. Its pin is rules-<id>, its header names the list,
 * whose pin is list-<id>. A reader goes from `ruleset`[0] to the list and takes no lock; when the
 * writer was faster it starts again.
 *
 * An index of more pages has them in the entry of `pages` that its header names. A writer puts them
 * into the other entry first. No packet looks there: the index that named it, if any, was replaced
 * in `ruleset`[0], which waits for the packets that had it.
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

/** Removes pins and pages of indexes and lists that are not in force: left by a writer that was
 * killed. */
int index_sweep(const struct dispatcher *d);

/**
 * Makes the maps of a compiled ruleset, frozen. @ret_fd, which is the caller's: what `ruleset`[0]
 * has to hold. If there are more pages they are in the entry @place of @pages_fd, the map `pages`,
 * then. Returns 0 or -errno.
 */
int index_create(struct ruleset *rs, int pages_fd, uint32_t place, int *ret_fd);
