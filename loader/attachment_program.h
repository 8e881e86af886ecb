/* SPDX-License-Identifier: BSD-3-Clause */
/* The program of attachments with its maps, in the kernel but not attached. The only user of its
 * skeleton.
 */
#pragma once

#include <stdbool.h>

#include "loader/dispatcher.h"

struct attachment_program; /* opaque: owns all descriptors */

/* Those that a program of another version goes on with; -1: new ones. */
struct attachment_maps {
	int rules, state, holder;
};

/** Loads it on the dispatcher's `sockets`. Returns 0, -EOPNOTSUPP when the kernel has no such
 * programs, or another negative errno. */
int attachment_program_load(const struct dispatcher *d, const struct attachment_maps *reuse,
			    struct attachment_program **ret);

void attachment_program_freep(struct attachment_program **p);

/** Does it tell sockets of other network namespaces from those of this one? */
bool attachment_program_knows_netns(const struct attachment_program *p);

/* Borrowed. */
int attachment_program_fd(const struct attachment_program *p);
struct attachment_maps attachment_program_maps(const struct attachment_program *p);
