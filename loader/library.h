/* SPDX-License-Identifier: BSD-3-Clause */
/* The preload library, as this program finds it. */
#pragma once

#include <limits.h>

#define LIBRARY_NAME "libisomer_preload.so"

/**
 * Finds the library that belongs to this program: in the build folder, or where it was installed,
 * also when that whole tree was moved. Returns 0, -ENOENT, -EACCES when it may not be read, -EINVAL
 * when LD_PRELOAD has no way to write its path, or another negative errno; @ret is the last place
 * looked at then.
 */
int library_find(char ret[PATH_MAX]);

/** Appends the library to LD_PRELOAD, unless it is there. Returns 0 or -errno. */
int library_preload(const char *path);
