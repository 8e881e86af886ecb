/* SPDX-License-Identifier: BSD-3-Clause */
/* Registered sockets that a command is about to throw out of their slots, and how each comes
 * back.
 */
#pragma once

#include "loader/destinations.h"

struct losses; /* opaque */

/** Collects the sockets registered under @label, NULL: under every label. Returns 0 or -errno. */
int losses_collect(const struct dispatcher *d, const struct destinations *set, const char *label,
		   struct losses **ret);

/** Says on stderr, a line for each, which process lost its socket and which command registers it
 * again. */
void losses_say(const struct losses *losses);

void losses_freep(struct losses **losses);
