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

/** Gives the slot maps of @label to the user, and to the group if there is one. */
int label_grant(const struct dispatcher *d, const char *label, const struct label_grant *grant);

/** Puts new slot maps in place of the label's, which belong to the state's owner: descriptors of
 * the former ones lead nowhere. Its sockets have to register again. */
int label_renew(const struct dispatcher *d, const struct destinations *set, const char *label);
