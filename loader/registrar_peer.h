/* SPDX-License-Identifier: BSD-3-Clause */
/* The client of a Unix socket, and what the kernel would let him open. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/** As of the client's connect(). */
struct peer {
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* supplementary ones */
	size_t n_groups;
};

#define PEER_NONE                                                                                  \
	(struct peer)                                                                              \
	{                                                                                          \
		.groups = NULL                                                                     \
	}

/** Returns 0 or -errno. */
int peer_read(int connection, struct peer *ret);

void peer_done(struct peer *p);

/**
 * Gives the process the file system credentials of the client. The kernel itself then judges what
 * is opened, by owner, group and mode. What capabilities the client has is not known, so root is a
 * user like others: it may not write what is somebody else's. The process must be single-threaded
 * and have none of the capabilities that override modes.
 *
 * Returns 0 or -errno. peer_leave() goes back, but for the supplementary groups.
 */
int peer_become(const struct peer *p);
int peer_leave(void);
