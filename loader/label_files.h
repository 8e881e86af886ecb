/* SPDX-License-Identifier: BSD-3-Clause */
/* The files of a label: a folder with the pins of its four slot maps, in labels/ or, before and
 * after its life there, in staging/.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "loader/destinations.h"

/* The destinations of a label, in the order of their parts. */
struct label_part {
	uint8_t domain, protocol;
};
extern const struct label_part label_parts[DESTINATIONS_OF_LABEL];

/** Modes of slot maps: everybody may open one for reading; writing is what a grant gives. */
#define SLOTS_MODE       0644
#define SLOTS_MODE_GROUP 0664

/** Writes the path of "<folder>/<label>" in the state; with @part >= 0, of that slot map in it. */
int label_path(const struct dispatcher *d, const char *folder, const char *label, int part,
	       char ret[PATH_MAX]);

/** Slot maps of a label, by part, with the owner and mode of their pins. */
struct label_pins {
	int fds[DESTINATIONS_OF_LABEL];
	uid_t uid;
	gid_t gid;
	mode_t mode;
};

/** Pins them in staging/<label>/, or with @aside in a place there that no label has. Returns 0 or
 * -errno. */
int label_stage(const struct dispatcher *d, const char *label, bool aside,
		const struct label_pins *pins);

/** Renames what was staged aside, now complete, to staging/<label>/. Returns 0 or -errno. */
int label_stage_commit(const struct dispatcher *d, const char *label);

/** Makes four slot maps. The descriptors are the caller's, also those that were made before a
 * failure; -1 where there is none. */
int label_create_slots(int ret_fds[DESTINATIONS_OF_LABEL]);

/** Renames the label's folder, or with @part >= 0 one slot map, from one folder to another. */
int label_move(const struct dispatcher *d, const char *from, const char *to, const char *label,
	       int part);

/** Removes the label's folder from staging/, if it is there; NULL: what was staged aside. */
int label_unstage(const struct dispatcher *d, const char *label);
