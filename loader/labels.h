/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of labels in a dispatcher opened for writing: made, dropped, mended.
 *
 * A label is four destinations. Each has an id, an entry in `destinations`, a slot map in
 * `sockets`[id], and that map's pin in labels/<label>/. Everything is prepared in staging/; a
 * label is there when its folder has been renamed into place, and gone when it has been renamed
 * out of it. labels_repair() finishes or undoes what a killed writer left.
 */
#pragma once

#include "loader/bindings.h"
#include "loader/destinations.h"

/**
 * Makes the @n labels, those that are not there yet, and adds them to @set: all or none. Returns
 * 0, -ENOSPC when the dispatcher has no room for their destinations, or another negative errno.
 */
int labels_create(const struct dispatcher *d, struct destinations *set, const char *const *labels,
		  size_t n);

/** Takes the @n labels, which are there and sorted, out of the dispatcher and of @set. */
int labels_drop(const struct dispatcher *d, struct destinations *set, const char *const *labels,
		size_t n);

/** Drops every label that has no binding in @bindings, no grant, no attachment and no live slot. */
int labels_collect(const struct dispatcher *d, struct destinations *set,
		   const struct bindings *bindings);

/** Finishes or undoes what a killed writer left. */
int labels_repair(const struct dispatcher *d);

/** Cookies in the slots of a destination, 0 where there is none. */
int destination_read_slots(const struct dispatcher *d, const struct isomer_destination_key *key,
			   uint64_t ret_cookies[ISOMER_SLOTS]);
