/* SPDX-License-Identifier: BSD-3-Clause */
/* The programs on a cgroup that let UDP sockets answer from the address that the client wrote to.
 * The only user of their skeleton. They share no map with the dispatcher, and so need nothing when
 * it is upgraded.
 */
#pragma once

#include "loader/dispatcher.h"

struct answers; /* opaque: owns all descriptors */

/** Loads them, not attached. Returns 0 or -errno. */
int answers_load(struct answers **ret);

/** Lets a socket answer so. Returns 0 or -errno. */
int answers_add(const struct answers *a, int fd);

/** Attaches them to the cgroup and pins the links in the attachment's @folder. Returns 0 or
 * -errno. */
int answers_attach(const struct answers *a, const struct dispatcher *d, int cgroup_fd,
		   const char *folder);

void answers_freep(struct answers **a);
