/* SPDX-License-Identifier: BSD-3-Clause */
/* Registering sockets that a command holds: what `register` and `register-pid` have in common. */
#pragma once

#include <stddef.h>

#include "loader/command.h"
#include "state/socket.h"

struct registration {
	const char *label;
	int fd; /* the caller's */
	struct isomer_socket socket;
};

/**
 * Registers the @n sockets, each in every destination that it serves, and prints a line for each.
 * Of several sockets on one address and port (a SO_REUSEPORT group) the first becomes current and
 * the others its standbys. Sockets on different addresses or ports cannot share a destination:
 * that is found out before anything is changed.
 *
 * Returns an exit status, after a message on failure.
 */
int registrations_run(const struct context *ctx, const struct registration *list, size_t n);
