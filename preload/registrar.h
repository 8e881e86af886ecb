/* SPDX-License-Identifier: BSD-3-Clause */
/* The way into the slots through the registrar: a few calls on a Unix socket that ordinary seccomp
 * filters allow, each bounded in time. Nothing is kept between calls, nothing is allocated, and no
 * descriptor is left behind but the one that is returned.
 */
#pragma once

#include <sys/socket.h>

#include "preload/failure.h"
#include "preload/request.h"

/* As those of direct.h. */
int registrar_check(const struct request *r, struct failure *ret_failure);
int registrar_register(const struct request *r, struct outcome *ret, struct failure *ret_failure);

/**
 * Asks for a UDP socket bound to @local, from which the registered socket of the request answers:
 * see ISOMER_REGISTRAR_REPLY_SOCKET. It is close-on-exec and the caller's. An IPv4-mapped address
 * gets an IPv4 socket.
 *
 * Returns 0, or -1 with @ret_failure filled: FAILURE_ADDRESS with -EPERM when the bindings do not
 * lead that address and port to the label. errno survives.
 */
int registrar_reply_socket(const struct request *r, const struct sockaddr *local, int *ret_fd,
			   struct failure *ret_failure);
