/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of labels in a dispatcher opened for writing: made, granted, revoked, dropped, mended.
 *
 * A label is four destinations. Each has an id, an entry in `destinations`, a slot map in
 * `sockets`[id], and that map's pin in labels/<label>/. Everything is prepared in staging/; a
 * label is there when its folder has been renamed into place, and gone when it has been renamed
 * out of it. labels_repair() finishes or undoes what a killed writer left.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "loader/bindings.h"
#include "loader/destinations.h"

/** Makes @label unless it is there; adds it to @set. Returns 0, -ENOSPC when the dispatcher has
 * no room for four more destinations, or another negative errno. */
int label_create(const struct dispatcher *d, struct destinations *set, const char *label);

/** Takes @label out of the dispatcher and of @set. */
int label_drop(const struct dispatcher *d, struct destinations *set, const char *label);

/** Drops every label that has no binding in @bindings, no grant and no live slot. */
int labels_collect(const struct dispatcher *d, struct destinations *set,
		   const struct bindings *bindings);

/** Finishes or undoes what a killed writer left. */
int labels_repair(const struct dispatcher *d);

/** Who may register beside the owner of the state. */
struct label_grant {
	bool granted; /* to anybody */
	uid_t uid;    /* owner of the slot maps: the state's owner when only a group was granted */
	bool has_group;
	gid_t gid;
};

int label_read_grant(const struct dispatcher *d, const char *label, struct label_grant *ret);

/** Gives the slot maps of @label to the user, and to the group if there is one. */
int label_grant(const struct dispatcher *d, const char *label, const struct label_grant *grant);

/** Puts new slot maps in place of the label's, which belong to the state's owner: descriptors of
 * the former ones lead nowhere. Its sockets have to register again. */
int label_renew(const struct dispatcher *d, const struct destinations *set, const char *label);

/** Cookies in the slots of a destination, 0 where there is none. */
int destination_read_slots(const struct dispatcher *d, const struct isomer_destination_key *key,
			   uint64_t ret_cookies[ISOMER_SLOTS]);
