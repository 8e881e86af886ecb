/* SPDX-License-Identifier: BSD-3-Clause */
/* What stands in the way of a new dispatcher: state of a namespace that is gone, folders that
 * killed commands left, folders that somebody else made.
 */
#pragma once

#include <limits.h>

#include "loader/netns.h"

enum leftover {
	LEFTOVER_NONE,
	LEFTOVER_REMOVED_DEAD,  /* was of a namespace that is gone, or half removed */
	LEFTOVER_MOVED_FOREIGN, /* somebody else's, now under @ret_aside */
};

/**
 * Takes what stands at @path, the state folder of @ns, out of the way.
 *
 * Returns 0, -EALREADY when a living dispatcher is there, -EPROTO when it is one of another
 * schema, or another negative errno.
 */
int leftover_clear(const char *bpffs, const struct netns *ns, const char *path, enum leftover *ret,
		   char ret_aside[PATH_MAX]);

/**
 * Makes a folder beside @path, with @suffix and a random number behind its name, mode 0700. As long
 * as @ret_claim_fd is open nobody sweeps it. Returns 0 or -errno.
 */
int leftover_make(const char *path, const char *suffix, char ret_path[PATH_MAX], int *ret_claim_fd);

/** Renames the folder @path to @aside, so that nobody finds it half removed, and removes it. */
int leftover_remove(const char *path, const char *aside);

/** Removes what killed `load` and `unload` left beside @path. Best effort. */
void leftover_sweep(const char *bpffs, const char *path);
