/* SPDX-License-Identifier: BSD-3-Clause */
/* The network namespace that a command works on. */
#pragma once

#include <stdint.h>

struct netns {
	const char *path; /* as the user gave it, or /proc/self/ns/net */
	uint64_t inode;
	uint64_t cookie; /* SO_NETNS_COOKIE; 0 before Linux 5.14 */
};

#define NETNS_SELF "/proc/self/ns/net"

/**
 * Moves the process into the network namespace at @path, unless it is there, and tells which
 * that is. Returns 0, -EINVAL when @path is no network namespace, -EPERM without CAP_SYS_ADMIN,
 * or another negative errno.
 */
int netns_enter(const char *path, struct netns *ret);

/** The same, and moves back. */
int netns_look(const char *path, struct netns *ret);

/**
 * Is the socket @fd one of the namespace? Asks for its cookie, and on kernels without it for its
 * namespace file, which needs CAP_NET_ADMIN. Returns 0, -EXDEV if not, or another negative errno.
 */
int netns_check_socket(const struct netns *ns, int fd);
