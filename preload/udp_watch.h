/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "state/socket.h"

/** From now on the destination of what the registered UDP socket @fd receives is noted, for its
 * answers to leave from there. @netns_inode: of its namespace, if known; else 0. Returns 0 or
 * -errno; errno survives. */
int udp_watch(int fd, const struct isomer_socket *s, uint64_t netns_inode);
