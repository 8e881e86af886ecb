/* SPDX-License-Identifier: BSD-3-Clause */
/* The state folder of a dispatcher as everybody may see it: <bpffs>/<netns inode>_dispatcher/. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <isomer/abi.h>

#define ISOMER_BPFFS_DEFAULT "/sys/fs/bpf"

/* Of a state folder, and of a file in it, with the terminating NUL. Less than PATH_MAX: guests have
 * threads with 16 KiB of stack. */
#define ISOMER_FOLDER_SIZE 512
#define ISOMER_PATH_SIZE   1024

/** A state folder that was found good. Holds no descriptor: nothing to release. */
struct isomer_state {
	char path[ISOMER_FOLDER_SIZE];
	struct isomer_info info;
};

/** Writes "<bpffs>/<inode>_dispatcher". Returns 0 or -ENAMETOOLONG. */
int isomer_state_path(const char *bpffs, uint64_t netns_inode, char ret_path[ISOMER_FOLDER_SIZE]);

/** Writes the folder's path with "/<name>" behind it. Returns 0 or -ENAMETOOLONG. */
int isomer_state_file(const struct isomer_state *st, const char *name,
		      char ret_path[ISOMER_PATH_SIZE]);

/** Inode of the network namespace at @path, NULL: of the calling thread. */
int isomer_netns_inode(const char *path, uint64_t *ret_inode);

/**
 * Opens the state of the network namespace with @netns_inode below @bpffs.
 *
 * The folder counts only if it belongs to root or to the caller and nobody else may write it.
 *
 * Returns 0 or
 *   -ENOENT    no such folder: no dispatcher there
 *   -EMEDIUMTYPE  @bpffs is not a BPF filesystem (nothing is mounted there)
 *   -EACCES    a folder on the way may not be searched, or the info not be read
 *   -EPERM     the folder belongs to somebody else or others may write it
 *   -EPROTO    not written by this schema of isomer
 * or another negative errno. Never logs.
 */
int isomer_state_open(const char *bpffs, uint64_t netns_inode, struct isomer_state *ret);

/**
 * Does the dispatcher serve the namespace with @netns_cookie?
 *
 * Returns 0, -EXDEV when it is another one, or -EOPNOTSUPP when the kernel has no such cookies
 * (before 5.14), in which case only the loader can tell.
 */
int isomer_state_check_netns(const struct isomer_state *st, uint64_t netns_cookie);
