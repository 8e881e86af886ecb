/* SPDX-License-Identifier: BSD-3-Clause */
/* Sending from a registered UDP socket: to a peer that has written from the address and port that
 * it wrote to, else as the program has it. Nothing is changed for one that says itself where a
 * datagram leaves from.
 */
#pragma once

#include "preload/udp_marks.h"

ssize_t udp_send(const struct udp_mark *mark, int fd, const struct msghdr *m, int flags);
int udp_send_many(const struct udp_mark *mark, int fd, struct mmsghdr *v, unsigned n, int flags);

/** Where an answer to @addr leaves from, if not from where it does anyway. @addr NULL: to the peer
 * that the socket is connected to. For calls that know no control messages. errno survives. */
bool udp_send_answers(const struct udp_mark *mark, int fd, const void *addr, socklen_t len,
		      struct udp_address *ret_local);

/** Sends from there. */
ssize_t udp_send_from(const struct udp_mark *mark, int fd, const struct udp_address *local,
		      const struct msghdr *m, int flags);
