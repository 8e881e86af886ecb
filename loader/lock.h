/* SPDX-License-Identifier: BSD-3-Clause */
/* The writers' lock of a state folder: flock(2) on its folder `lock`. Readers take none. */
#pragma once

#include <sys/types.h>

#define LOCK_WAIT_SECONDS 10 /* unless --wait says otherwise */
#define LOCK_WAIT_MAX     3600

/** How long commands wait for it. Set once, by main(). */
extern unsigned lock_wait_seconds;

/**
 * Takes the lock of the folder @path, waiting up to @seconds; 0 does not wait. It is held until
 * @ret_fd is closed, also by the end of the process.
 *
 * Returns 0, -ETIMEDOUT when somebody else kept it (@ret_holder: its pid, 0 if unknown), or
 * another negative errno.
 */
int lock_take(const char *path, unsigned seconds, int *ret_fd, pid_t *ret_holder);
