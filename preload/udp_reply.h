/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers from another port than the socket's: by a socket bound there, which is closed behind it
 * or kept while more is to be answered (udp_kept.h). It is not connected, so the dispatcher steers
 * what arrives there past it; what comes back about the datagram (ICMP) finds nobody.
 */
#pragma once

#include "preload/udp_marks.h"

/** Sends @m from @local. What there is no such socket for is refused with EHOSTUNREACH (ENOBUFS
 * when descriptors or memory are lacking) and a line. */
ssize_t udp_reply_send(const struct udp_mark *mark, int fd, const struct udp_address *local,
		       const struct msghdr *m, int flags, bool more);
