/* SPDX-License-Identifier: BSD-3-Clause */
/* Looking at pinned BPF objects by plain bpf(2): also what the library of the product has no need
 * for. All return -errno on failure.
 */
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum object_kind {
	OBJECT_MAP,
	OBJECT_PROGRAM,
	OBJECT_LINK,
};

/** Opens the pin at @path, for reading where that is possible (a link knows no other than full
 * access). */
int object_open(const char *path, enum object_kind *ret_kind);

/* What is cleared first is what an older kernel leaves out. */
int object_program_info(int fd, struct bpf_prog_info *ret);
int object_link_info(int fd, struct bpf_link_info *ret);

/** Of all objects of the machine the one behind @id, 0: the first. -ENOENT behind the last. */
int object_next(enum object_kind kind, uint32_t id, uint32_t *ret_next);
int object_open_id(enum object_kind kind, uint32_t id);

/** The ids of maps that a program uses, up to @max; how many there are of them. */
int object_program_maps(int fd, uint32_t *ret_ids, uint32_t max);

/** Kernel's id of a map; fails the test when there is none. */
uint32_t map_id_of(int fd);

bool map_is_frozen(int fd);

/** @key: NULL for the first. -ENOENT behind the last. */
int map_next_key(int fd, const void *key, void *ret_next);

/** More than the values of a map on all CPUs need. */
#define MAP_VALUE_MAX (1024 * 64)
