/* SPDX-License-Identifier: BSD-3-Clause */
/* The few bpf(2) commands that a guest process needs, as plain system calls: no libbpf, no
 * allocation. All return 0 or -errno, leave outputs untouched on failure and never log.
 */
#pragma once

#include <linux/bpf.h>
#include <stdint.h>

/** Opens the object pinned at @path. @flags: 0, BPF_F_RDONLY or BPF_F_WRONLY. The descriptor is
 * close-on-exec and the caller's. */
int bpfsys_obj_get(const char *path, uint32_t flags, int *ret_fd);

/** Copies the value under @key into @value, which must hold the map's value size. */
int bpfsys_map_lookup(int fd, const void *key, void *value);

/** @flags: BPF_ANY, BPF_NOEXIST or BPF_EXIST. */
int bpfsys_map_update(int fd, const void *key, const void *value, uint64_t flags);

int bpfsys_map_delete(int fd, const void *key);

int bpfsys_map_info(int fd, struct bpf_map_info *ret_info);
