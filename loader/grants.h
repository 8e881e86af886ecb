/* SPDX-License-Identifier: BSD-3-Clause */
/* Who may register under a label, beside the owner of the state: owner and mode of its slot maps
 * say so, and nothing else does.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "loader/destinations.h"

/** Who may register beside the owner of the state. */
struct label_grant {
	bool granted; /* to anybody */
	uid_t uid;    /* owner of the slot maps: the state's owner when only a group was granted */
	bool has_group;
	gid_t gid;
};

int label_read_grant(const struct dispatcher *d, const char *label, struct label_grant *ret);

/**
 * Gives the slot maps of @label, which is there, to the grantee; with @grant NULL back to the owner
 * of the state. With @renew the label gets new slot maps: descriptors of the former ones lead
 * nowhere, and its sockets have to register again. All or nothing: what a killed writer leaves is
 * finished or undone by labels_repair(). Returns 0 or -errno.
 */
int label_set_grant(const struct dispatcher *d, const struct destinations *set, const char *label,
		    const struct label_grant *grant, bool renew);

/** Finishes or undoes a label_set_grant() that was killed. */
int label_repair_grant(const struct dispatcher *d, const struct destinations *set,
		       const char *label);
