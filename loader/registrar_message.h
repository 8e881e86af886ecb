/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests and replies as they come over the wire. Nothing in a request is trusted. */
#pragma once

#include <isomer/registrar.h>

/**
 * Receives the request of a connection and the descriptor with it, which is close-on-exec and the
 * caller's. Waits as long as the connection's SO_RCVTIMEO says.
 *
 * Returns 0, -EPROTO when it is not of this version, -EBADMSG when it is no request or does not
 * bring exactly one descriptor, -EPIPE when the client has gone, or another negative errno.
 */
int registrar_receive(int connection, struct isomer_registrar_request *ret, int *ret_fd);

/** Is what the request says well-formed? Returns 0, -EPROTO or -EBADMSG as above. */
int registrar_check_request(const struct isomer_registrar_request *q);

/** Sends the reply, with @fd unless it is -1. Does not wait: a client that does not read gets
 * nothing. */
void registrar_send(int connection, const struct isomer_registrar_reply *reply, int fd);
