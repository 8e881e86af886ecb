/* SPDX-License-Identifier: BSD-3-Clause */
/* Libraries that are opened by the command that needs them: linked, each would cost every command
 * of the loader its start.
 */
#pragma once

#include <stddef.h>

struct late_function {
	const char *name;
	void *ret; /* a pointer to a pointer to a function */
};

/**
 * Opens the library @soname and finds its @n @functions.
 *
 * Returns 0, or -ELIBACC when the library or one of its functions is not there. The library stays
 * open to the end of the process: it may have threads and signal handlers.
 */
int late_library_open(const char *soname, const struct late_function *functions, size_t n);
