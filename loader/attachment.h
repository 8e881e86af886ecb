/* SPDX-License-Identifier: BSD-3-Clause */
/* Making an attachment: a program on a cgroup that registers the listeners of all processes there.
 */
#pragma once

#include <isomer/attachment.h>

#include "loader/cgroup.h"
#include "loader/destinations.h"
#include "state/rules.h"
#include "state/socket.h"

struct attachment; /* opaque: one that is being made */

/**
 * Prepares what is to be put on a cgroup. @label: for what no rule decides, or NULL. @set holds the
 * labels. Not attached yet. Returns 0, -EOPNOTSUPP when the kernel has no such program, or another
 * negative errno.
 */
int attachment_prepare(const struct dispatcher *d, const struct destinations *set,
		       const struct cgroup *cg, const struct isomer_rules *rules, const char *label,
		       struct attachment **ret);

/** Does the program tell sockets of other network namespaces from those of this one? */
bool attachment_knows_netns(const struct attachment *a);

/**
 * Puts a socket that is there already, listening or bound, into its slots, by the same rules as the
 * program. Returns 1 when it was, 0 when it is none that the rules take or was in them, or -errno.
 */
int attachment_adopt(struct attachment *a, int fd, const struct isomer_socket *s);

/** Attaches and pins it, in the place of one that is there. Returns 0, -EPERM also when a program
 * of a cgroup above shuts out others, or another negative errno. */
int attachment_commit(struct attachment *a);

void attachment_freep(struct attachment **a);
