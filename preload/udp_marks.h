/* SPDX-License-Identifier: BSD-3-Clause */
/* Which descriptors are registered UDP sockets. Nothing says when a descriptor is closed and its
 * number goes to something else, so a mark holds the socket's cookie, and counts while the
 * descriptor has that. Any other descriptor costs no system call. Nor do receives and answers, most
 * of the time: the number can only become that of another UDP socket by calls that this library
 * stands in front of, or behind libc's back.
 */
#pragma once

#include <stdatomic.h>

#include "preload/udp_address.h"

#define UDP_MARKS_MAX (1 << 20) /* descriptors; higher ones are not marked */

/* What the program has set itself: this library sets all of them. */
enum udp_wish {
	UDP_WISH_ORIGDST4 = 1 << 0, /* IP_RECVORIGDSTADDR */
	UDP_WISH_ORIGDST6 = 1 << 1, /* IPV6_RECVORIGDSTADDR */
	UDP_WISH_FREEBIND = 1 << 2, /* IP_FREEBIND, which is IPV6_FREEBIND too */
};

struct udp_mark {
	uint64_t cookie;
	struct udp_address bound;
	bool ipv6;            /* of AF_INET6 */
	uint32_t forks;       /* udp_marks_forks at that time */
	unsigned wishes;      /* enum udp_wish */
	uint32_t netns_inode; /* of the socket's namespace; 0: not known */
};

/** NULL while this process has registered no UDP socket. */
extern _Atomic(struct udp_mark_slot *) udp_marks;

/** Counts the descriptors that were made, each of which may have the number of one with a mark, and
 * those with a mark that were closed. */
extern _Atomic uint64_t udp_marks_made;

/** Counts the fork() calls of this process and those that it descends from. */
extern _Atomic uint32_t udp_marks_forks;

/** What SO_COOKIE says. Returns 0 or -errno; errno survives. */
int udp_mark_cookie(int fd, uint64_t *ret);

/** Marks @fd. Returns 0 or -errno. */
int udp_mark_set(int fd, const struct udp_mark *mark);

/** The mark of @fd, which has one in all likelihood. errno survives. */
bool udp_mark_verify(struct udp_mark_slot *slots, int fd, struct udp_mark *ret);

/** The same. The kernel is not asked when this thread was the last to verify it and no descriptor
 * has been made since; once. */
bool udp_mark_verify_again(struct udp_mark_slot *slots, int fd, struct udp_mark *ret);

/** The same, however often, when nobody has asked the kernel since a descriptor was made. It may be
 * wrong where the number became something else's unnoticed: see udp_mark_confirm(). */
bool udp_mark_verify_likely(struct udp_mark_slot *slots, int fd, struct udp_mark *ret);

/** Asks the kernel whether @fd still is the socket with @mark. Not so, it has none any more. errno
 * survives. */
bool udp_mark_confirm(int fd, const struct udp_mark *mark);

/** What the call that looked at the mark of @fd has led to does not show that it was right to: the
 * next one that sends asks the kernel. */
void udp_mark_doubt(int fd);

/** @fd has been closed. */
void udp_mark_closed(int fd);

/** @copy is another descriptor for what @fd is for. errno survives. */
void udp_mark_copy(int fd, int copy);

/** Notes what the program has set of @fd, which has a mark. */
void udp_mark_wish(int fd, enum udp_wish wish, bool on);

/** Is @fd a registered UDP socket? */
static inline bool udp_mark_look(int fd, struct udp_mark *ret)
{
	struct udp_mark_slot *slots = atomic_load_explicit(&udp_marks, memory_order_acquire);

	return __builtin_expect(slots != NULL, 0) && udp_mark_verify(slots, fd, ret);
}

/** The mark of @fd for a call that receives, and does the same on what is no UDP socket as the one
 * that the program has made. */
static inline bool udp_mark_look_likely(int fd, struct udp_mark *ret)
{
	struct udp_mark_slot *slots = atomic_load_explicit(&udp_marks, memory_order_acquire);

	return __builtin_expect(slots != NULL, 0) && udp_mark_verify_likely(slots, fd, ret);
}

/** A descriptor has been made. */
static inline void udp_mark_made(void)
{
	if (atomic_load_explicit(&udp_marks, memory_order_relaxed))
		atomic_fetch_add_explicit(&udp_marks_made, 1, memory_order_release);
}

/** The mark of @fd for a call that sends: it follows one that receives. */
static inline bool udp_mark_look_again(int fd, struct udp_mark *ret)
{
	struct udp_mark_slot *slots = atomic_load_explicit(&udp_marks, memory_order_acquire);

	return __builtin_expect(slots != NULL, 0) && udp_mark_verify_again(slots, fd, ret);
}
