/* SPDX-License-Identifier: BSD-3-Clause */
/* Where each peer's last datagram went: from there it is answered.
 *
 * Bounded: sets of eight, two for each peer, in which the one that wrote least recently is
 * forgotten first. Memory is mapped when the first socket is registered, and touched as it fills.
 * No locks: a set is written under a sequence counter that its writer takes or, when a thread, the
 * code under a signal handler or the parent before fork() has it, leaves for the peer's other set.
 * A forked child goes on with a copy of its own.
 */
#pragma once

#include "preload/udp_address.h"

/* Of one process. With 100,000 peers the sets are less than half full. */
#define UDP_PEERS_MAX (1 << 18)

/** Makes room. Returns 0 or -errno. */
int udp_peers_start(void);

/** The last datagram of @peer to the socket was for @local. */
void udp_peers_set(uint64_t cookie, const struct udp_address *peer,
		   const struct udp_address *local);

/** Forgets it: it wrote to where every answer leaves from, or where none can. */
void udp_peers_forget(uint64_t cookie, const struct udp_address *peer);

/** False: it never wrote, or was forgotten. */
bool udp_peers_find(uint64_t cookie, const struct udp_address *peer, struct udp_address *ret_local);
