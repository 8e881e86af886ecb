/* SPDX-License-Identifier: BSD-3-Clause */
/* Control messages: the original destination, which this library asks for and the program does not
 * get to see, and the source, which the program does not say.
 */
#pragma once

#include "preload/udp_marks.h"

#ifndef IPV6_RECVORIGDSTADDR
#define IPV6_RECVORIGDSTADDR 74
#endif

/** Gives the program what the kernel wrote into @from, without what only this library asked for:
 * control messages, their length and MSG_CTRUNC as the kernel would have left them in @to, whose
 * msg_controllen is still the program's. Both may share one buffer. */
void udp_control_give(const struct msghdr *from, unsigned wishes, struct msghdr *to);

/** The original destination in it. */
bool udp_control_destination(const struct msghdr *m, struct udp_address *ret);

/** Does the program say itself where the datagram leaves from? */
bool udp_control_has_source(const struct msghdr *m);

/* What the source takes, beside the program's own. */
#define UDP_CONTROL_SOURCE CMSG_SPACE(sizeof(struct in6_pktinfo))

/** Writes the program's control messages with the source @local to @buffer, and makes @m use it.
 * False: they do not fit. */
bool udp_control_add_source(struct msghdr *m, const struct udp_address *local, void *buffer,
			    size_t size);
