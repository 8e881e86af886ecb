/* SPDX-License-Identifier: BSD-3-Clause */
/* Reply sockets that are kept for the next answer from there: the one exception to that no
 * descriptor is held between calls. Bounded, close-on-exec, and gone when the server waits.
 *
 * From the moment when its binding goes, an open one swallows what is meant for another server. So
 * one is kept while datagrams wait at the server's own socket, for then the server makes another
 * call, and the receive that takes the last of them closes it. So do close() of the server's
 * socket, and any call that gets here when no answer was sent for a second. After a fork() another
 * process may take the last one, so nothing is kept for sockets from before.
 *
 * No locks: who uses an entry has it to himself. A program may close descriptors that it has not
 * opened, and get the number for something else: the cookie tells.
 */
#pragma once

#include "preload/udp_marks.h"

#define UDP_KEPT_MAX 16

extern _Atomic unsigned udp_kept_count;

/** Are there any? */
static inline bool udp_kept_any(void)
{
	return __builtin_expect(atomic_load(&udp_kept_count) != 0, 0);
}

/** To be called once, before a fork() that matters. */
void udp_kept_start(void);

/** Takes the socket for answers of the registered socket @server from @local. Returns its
 * descriptor, which is the caller's then; -1: there is none. */
int udp_kept_take(uint64_t server, const struct udp_address *local, bool *ret_ipv6);

/** Keeps @reply, of family @ipv6, for answers of @fd from @local, or closes it. @more: there are
 * some in this call, at the end of which udp_kept_review() is called. errno survives. */
void udp_kept_give(const struct udp_mark *mark, int fd, const struct udp_address *local, bool ipv6,
		   int reply, bool more);

/** Closes those of @server, 0: of all. errno survives. */
void udp_kept_close(uint64_t server);

/** Closes those of @fd when nothing waits there. errno survives. */
void udp_kept_review(const struct udp_mark *mark, int fd);

/** Closes all that have not been used for long. errno survives. */
void udp_kept_tidy(void);
