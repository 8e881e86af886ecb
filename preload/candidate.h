/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets on which the real call is not made yet. isomer_socket_inspect() judges those on which it
 * was.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "state/socket.h"

/**
 * Looks at @fd without asking for a state: everything in @ret but the SO_COOKIE. MPTCP counts as
 * TCP, and @ret_mptcp says so.
 *
 * Returns 0, or a negative errno for what could never be registered.
 */
int candidate_look(int fd, struct isomer_socket *ret, bool *ret_mptcp);

/** Puts what bind() is asked for into @s. False: the kernel is going to refuse it. */
bool candidate_bind(struct isomer_socket *s, const struct sockaddr *addr, socklen_t len);

/** The port in the address that bind() got for an IPv4 or IPv6 socket; 0 for none. */
uint16_t candidate_port(const struct sockaddr *addr, socklen_t len);
