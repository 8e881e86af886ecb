/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers from another port than the socket's: by a socket bound there, opened for this one
 * datagram and closed behind it. It is not connected, so the dispatcher steers what arrives there
 * past it; what comes back about the datagram (ICMP) finds nobody. Should the binding have gone, it
 * is in the way of another server for the few microseconds of one answer and no longer.
 */
#pragma once

#include "preload/udp_marks.h"

/** Sends @m from @local. What there is no such socket for is refused with EHOSTUNREACH (ENOBUFS
 * when descriptors or memory are lacking) and a line. */
ssize_t udp_reply_send(const struct udp_mark *mark, int fd, const struct udp_address *local,
		       const struct msghdr *m, int flags);
