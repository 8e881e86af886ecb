/* SPDX-License-Identifier: BSD-3-Clause */
/* The BPF filesystem below which the state lies, and work on its folders. */
#pragma once

#include <limits.h>
#include <stdbool.h>

/**
 * Makes sure that a BPF filesystem is mounted at @path, the default place or another.
 *
 * At the default place it is mounted (mode 0711) when nothing is there and the process runs in
 * the mount namespace of pid 1; elsewhere the mount would end with the command. Returns 0 (and
 * @ret_mounted), -EMEDIUMTYPE when no BPF filesystem is there, -EXDEV when it would have been
 * mounted but for the mount namespace, or another negative errno.
 */
int bpffs_ensure(const char *path, bool *ret_mounted);

/** Is a BPF filesystem mounted at @path? Returns 0, -EMEDIUMTYPE if not, -EXDEV if not and one
 * mounted now would end with the command, or another negative errno. */
int bpffs_look(const char *path);

/** Can users other than the owner search @path? */
bool bpffs_searchable(const char *path);

/** Removes @path and everything below it. Returns 0 or -errno; -ENOENT is no error. */
int bpffs_remove(const char *path);

/** Makes the folder @path with exactly @mode, whatever the umask. Returns 0 or -errno. */
int bpffs_mkdir(const char *path, unsigned mode);

/** Writes @path with @suffix and a random number behind it: nobody can be there first. Returns 0
 * or -errno. */
int bpffs_unique(const char *path, const char *suffix, char ret[PATH_MAX]);
