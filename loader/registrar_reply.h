/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets from which a registered UDP socket answers: see ISOMER_REGISTRAR_REPLY_SOCKET. */
#pragma once

#include <isomer/registrar.h>

#include "loader/netns.h"

/** Do the bindings in force lead the request's address and port to its destination, in whose slots
 * the socket with @cookie sits? Returns 0, -EPERM if not, or another negative errno. */
int reply_socket_check(const char *bpffs, const struct netns *ns,
		       const struct isomer_registrar_request *q, uint64_t cookie);

/**
 * Makes the socket, in the network namespace @ns_fd, in which the process then stays. It never
 * receives: a filter drops what comes, and nobody can take it off again. So whoever keeps it when
 * the binding has gone can lose others' datagrams to that address and port, but not read them.
 *
 * Returns 0 or -errno.
 */
int reply_socket_make(int ns_fd, const struct isomer_registrar_request *q, int *ret_fd);
