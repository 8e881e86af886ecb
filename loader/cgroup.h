/* SPDX-License-Identifier: BSD-3-Clause */
/* Folders of the cgroup v2 hierarchy. */
#pragma once

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

struct cgroup {
	char path[PATH_MAX]; /* absolute, as it can be opened here */
	uint64_t id;         /* the kernel's */
	int fd;              /* the owner's to close; -1 */
};

#define CGROUP_NONE                                                                                \
	(struct cgroup)                                                                            \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/**
 * Opens a cgroup: a path of the mounted filesystem, or one from the root of the hierarchy, as
 * "system.slice/nginx.service". Returns 0, -ENOENT, -EMEDIUMTYPE when it is not of cgroup v2,
 * -ENODEV when that is mounted nowhere, or another negative errno.
 */
int cgroup_open(const char *name, struct cgroup *ret);

/** Opens the cgroup of this process. */
int cgroup_open_own(struct cgroup *ret);

/** Makes a cgroup below @parent for a program that this process becomes. */
int cgroup_make_child(const struct cgroup *parent, struct cgroup *ret);

/** Moves this process into it. What it has open stays what it was. */
int cgroup_enter(const struct cgroup *cg);

/** Waits until no process is in it or below it, and removes it. Returns 0 or -errno. */
int cgroup_remove_when_empty(const struct cgroup *cg);

/** Calls @visit for each process in it and below it. What that returns other than 0 ends the walk
 * and is returned. */
int cgroup_visit(const struct cgroup *cg, int (*visit)(pid_t pid, void *arg), void *arg);

void cgroup_done(struct cgroup *cg);
