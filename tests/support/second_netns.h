/* SPDX-License-Identifier: BSD-3-Clause */
/* A second network namespace beside the test's, below the same BPF filesystem, with lo up. Each
 * function fails the test when it cannot do its job.
 */
#pragma once

#include <limits.h>
#include <sys/types.h>

#include "support/netns.h"

struct second_netns {
	int home, fd;
	char path[64], folder[PATH_MAX];
	uint64_t inode;
	pid_t keeper; /* does nothing but be there, so that it has a path */
	int keeper_pipe;
};

void second_netns_make(const struct netns_fixture *ns, struct second_netns *s);
void second_netns_done(struct second_netns *s);

/** Moves the test into the namespace @fd. */
void second_netns_enter(int fd);

/* Runs @statement in the second namespace. */
#define THERE(second, statement)                                                                   \
	do {                                                                                       \
		second_netns_enter((second)->fd);                                                  \
		statement;                                                                         \
		second_netns_enter((second)->home);                                                \
	} while (0)
