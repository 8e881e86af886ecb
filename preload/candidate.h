/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets before the real bind(): what they are going to be. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "state/socket.h"

/** May the address be looked at? False: it is no memory of this process, or no length of an
 * address, and bind() of the socket @fd is going to say so. May change errno. */
bool candidate_readable(int fd, const struct sockaddr *addr, socklen_t len);

/** Puts what bind() is asked for into @s. False: the kernel is going to refuse it. */
bool candidate_bind(struct isomer_socket *s, const struct sockaddr *addr, socklen_t len);

/** The port in the address that bind() got for an IPv4 or IPv6 socket; 0 for none. */
uint16_t candidate_port(const struct sockaddr *addr, socklen_t len);
