/* SPDX-License-Identifier: BSD-3-Clause */
/* Cgroups for tests, below the one of the test. Each function fails the test when it cannot do its
 * job.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "support/process.h"

struct own_cgroup {
	char path[PATH_MAX];
};

/** Makes one; skips the test (or fails it, as skip_or_fail() does) where none can be made. */
void own_cgroup_make(struct own_cgroup *ret);

/** Ends all processes there, waits for their end, and removes it, if it is there. */
void own_cgroup_done(struct own_cgroup *cg);

/** Starts a program in it, and waits until it has printed "ready". Path and arguments up to a NULL.
 */
struct process *own_cgroup_start(const struct own_cgroup *cg, const char *program, ...)
	__attribute__((sentinel));
