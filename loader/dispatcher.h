/* SPDX-License-Identifier: BSD-3-Clause */
/* The dispatcher of a network namespace: its life (load, open, unload), and descriptors of what
 * it is made of.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "loader/netns.h"
#include "state/state.h"

/* Folders of the state that only writers look into. */
#define DISPATCHER_DIR_STAGING "staging" /* what is not in force yet or any more */

/* Slots that nobody gets: what `sockets` holds for an id that was given back. Putting them there
 * takes one grace period for any number of ids, deleting takes one for each. */
#define DISPATCHER_PIN_VACANT "vacant"

/* Behind the name of the state folder: being loaded, being removed, taken out of the way. */
#define DISPATCHER_SUFFIX_NEW   "-new-"
#define DISPATCHER_SUFFIX_OLD   "-old-"
#define DISPATCHER_SUFFIX_STALE "-stale-"

struct dispatcher {
	struct isomer_state st;
	gid_t group; /* who may read what is not everybody's */
	int lock_fd; /* -1 for a reader */
	int ruleset_fd, pages_fd, destinations_fd, sockets_fd, metrics_fd;
};

#define DISPATCHER_NONE                                                                            \
	(struct dispatcher)                                                                        \
	{                                                                                          \
		.lock_fd = -1, .ruleset_fd = -1, .pages_fd = -1, .destinations_fd = -1,            \
		.sockets_fd = -1, .metrics_fd = -1                                                 \
	}

struct dispatcher_options {
	uint32_t max_destinations;
	gid_t group;
};

/**
 * Loads the program, attaches it to @ns, which the process must be in, and pins everything below
 * @bpffs: wholly or not at all. Returns 0, -EALREADY when something stands in its place, or another
 * negative errno.
 */
int dispatcher_load(const char *bpffs, const struct netns *ns,
		    const struct dispatcher_options *options);

/** Is the state in @folder that of a program attached to the namespace with @netns_inode? Returns
 * 0, -ESTALE if not, or another negative errno. */
int dispatcher_check_attached(const char *folder, uint64_t netns_inode);

enum dispatcher_mode {
	DISPATCHER_READ,  /* no lock, read-only descriptors */
	DISPATCHER_WRITE, /* takes the writers' lock */
};

/**
 * Opens the dispatcher of @ns. Close with dispatcher_close().
 *
 * Returns 0; what isomer_state_open() says; -ESTALE when the state is that of a namespace that is
 * gone or the program is no longer attached; -ETIMEDOUT when another writer kept the lock
 * (@ret_holder: its pid); or another negative errno.
 */
int dispatcher_open(const char *bpffs, const struct netns *ns, enum dispatcher_mode mode,
		    struct dispatcher *ret, pid_t *ret_holder);

void dispatcher_close(struct dispatcher *d);

/** Opens the pin @name of the state folder. Returns 0 or -errno. */
int dispatcher_open_pin(const struct dispatcher *d, const char *name, enum dispatcher_mode mode,
			int *ret_fd);

/** Pins @fd as @name, readable for the state's group. Returns 0 or -errno. */
int dispatcher_pin(const struct dispatcher *d, const char *name, int fd, mode_t mode);

/** Makes a slot map. The descriptor is the caller's. Returns 0 or -errno. */
int slots_create(int *ret_fd);

/** Detaches the program and removes the state. Takes a dispatcher opened for writing. */
int dispatcher_unload(const struct dispatcher *d);
