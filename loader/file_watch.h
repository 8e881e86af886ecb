/* SPDX-License-Identifier: BSD-3-Clause */
/* Tells when a path leads to another file than before, or to other bytes: written in place, renamed
 * over by an editor, or behind symbolic links of which one was swapped (the "..data" of a
 * ConfigMap, a "current" of releases). The path may lead nowhere for a while.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#define FILE_WATCH_PATHS 2

struct file_watch {
	const char *paths[FILE_WATCH_PATHS];
	struct stat seen[FILE_WATCH_PATHS]; /* all zeros: nothing was there */
	int fd;
};

#define FILE_WATCH_NONE                                                                            \
	(struct file_watch)                                                                        \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/** Looks where the paths lead to now; what changes from here on ends file_watch_wait(). Returns 0
 * or -errno. @ret_changed: is it something else than at the last look? */
int file_watch_look(struct file_watch *w, bool *ret_changed);

/**
 * Waits until something may have changed since the last look, and then until all is quiet, or
 * @timeout_ms have passed (-1: never), or there is something to be read from @end_fd.
 *
 * Returns 0, -EINTR when @end_fd has ended it, or another negative errno.
 */
int file_watch_wait(struct file_watch *w, int end_fd, int timeout_ms);

void file_watch_done(struct file_watch *w);
