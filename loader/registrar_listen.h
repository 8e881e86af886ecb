/* SPDX-License-Identifier: BSD-3-Clause */
/* The socket of the registrar: systemd's, or one of its own. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/** The listening socket that systemd passed (LISTEN_PID, LISTEN_FDS). Returns 0; -ENOENT when it
 * passed none; -EINVAL when it is not one listening Unix socket of the type SOCK_SEQPACKET. */
int registrar_inherit(int *ret_fd);

struct registrar_place {
	const char *path;
	mode_t mode;
	bool has_group;
	gid_t group;
};

/**
 * Makes a socket there and listens on it, in one step for clients: there is the former, or this
 * one. One that nobody listens on any more is replaced.
 *
 * Returns 0, -EADDRINUSE when somebody listens there, -EEXIST when there is something else,
 * -ENAMETOOLONG, or another negative errno.
 */
int registrar_listen(const struct registrar_place *place, int *ret_fd);
