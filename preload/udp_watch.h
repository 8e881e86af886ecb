/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "state/socket.h"

/** From now on the destination of what the registered UDP socket @fd receives is noted, for its
 * answers to leave from there. Returns 0 or -errno; errno survives. */
int udp_watch(int fd, const struct isomer_socket *s);
