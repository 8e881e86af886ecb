/* SPDX-License-Identifier: BSD-3-Clause */
/* The BPF program with its maps, in the kernel but not pinned yet. The only user of the skeleton.
 */
#pragma once

#include <stdint.h>

#include <isomer/abi.h>

struct program; /* opaque: owns all descriptors */

enum program_map {
	PROGRAM_INFO,
	PROGRAM_RULESET,
	PROGRAM_PAGES,
	PROGRAM_DESTINATIONS,
	PROGRAM_SOCKETS,
	PROGRAM_METRICS,
	PROGRAM_MAPS,
};

/**
 * Loads the program. @max_destinations sizes the maps it makes; @reuse: for each map a descriptor
 * of one to use instead, or -1; NULL: none. Returns 0 or -errno.
 */
int program_load(uint32_t max_destinations, const int reuse[PROGRAM_MAPS], struct program **ret);

void program_free(struct program *p);
void program_freep(struct program **p);

/* Borrowed. */
int program_fd(const struct program *p);
int program_map_fd(const struct program *p, enum program_map map);
