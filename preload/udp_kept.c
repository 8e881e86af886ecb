/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/udp_kept.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "preload/guard.h"

/* Out of the way of programs that reckon with low numbers. */
#define FIRST_FD 512

#define IDLE_MS 1000

enum state { EMPTY, TAKEN, KEPT };

static struct entry {
	_Atomic uint32_t state;  /* the rest is his who made it TAKEN */
	_Atomic uint64_t server; /* to be looked at before, as the next one */
	_Atomic uint64_t used;   /* in ms */
	struct udp_address local;
	uint64_t cookie;
	int fd;
	bool ipv6;
} entries[UDP_KEPT_MAX];

_Atomic unsigned udp_kept_count;

/* Of any entry, in ms. */
static _Atomic uint64_t last_used;

/* The process that they are in: the child of a vfork() sees them, and has descriptors of its own.
 */
static _Atomic pid_t owner;

static pid_t myself(void)
{
	return (pid_t)syscall(SYS_getpid);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Not poll(), where a thread may be cancelled. */
static bool is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec at_once = { 0 };

	return syscall(SYS_ppoll, &p, 1, &at_once, NULL, 0) == 1 && p.revents & POLLIN;
}

static bool take(struct entry *e)
{
	uint32_t kept = KEPT;

	if (atomic_load_explicit(&e->state, memory_order_relaxed) != KEPT ||
	    !atomic_compare_exchange_strong(&e->state, &kept, TAKEN))
		return false;
	atomic_fetch_sub(&udp_kept_count, 1);
	return true;
}

static void put(struct entry *e)
{
	atomic_fetch_add(&udp_kept_count, 1);
	atomic_store(&e->state, KEPT);
}

static void close_guarded(int fd)
{
	GUARD();

	(void)close(fd);
}

static bool is_still_there(const struct entry *e)
{
	uint64_t cookie;

	return udp_mark_cookie(e->fd, &cookie) == 0 && cookie == e->cookie;
}

static void close_it(const struct entry *e)
{
	if (is_still_there(e))
		close_guarded(e->fd);
}

int udp_kept_take(uint64_t server, const struct udp_address *local, bool *ret_ipv6)
{
	for (struct entry *e = entries; e < entries + UDP_KEPT_MAX; e++) {
		int fd;

		if (atomic_load_explicit(&e->server, memory_order_relaxed) != server || !take(e))
			continue;
		if (e->server != server || e->local.port != local->port ||
		    !udp_address_same_host(&e->local, local)) {
			put(e);
			continue;
		}
		fd = is_still_there(e) ? e->fd : -1;
		*ret_ipv6 = e->ipv6;
		atomic_store(&e->state, EMPTY);
		return fd;
	}
	return -1;
}

/* An empty place, or that of the one that was used longest ago. */
static struct entry *make_room(void)
{
	struct entry *oldest = NULL;

	for (struct entry *e = entries; e < entries + UDP_KEPT_MAX; e++) {
		uint32_t empty = EMPTY;

		if (atomic_compare_exchange_strong(&e->state, &empty, TAKEN))
			return e;
		if (!oldest || e->used < oldest->used)
			oldest = e;
	}
	if (!take(oldest))
		return NULL;
	close_it(oldest);
	return oldest;
}

/* -1: there is no room up there. */
static int move_up(int fd)
{
	int copy;

	if (fd >= FIRST_FD)
		return fd;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD);
	close_guarded(fd);
	return copy;
}

static bool keep(const struct udp_mark *mark, const struct udp_address *local, bool ipv6, int fd)
{
	struct entry *e;
	uint64_t cookie;

	if (udp_mark_cookie(fd, &cookie) < 0)
		return false;
	e = make_room();
	if (!e)
		return false;
	e->server = mark->cookie;
	e->used = now_ms();
	e->local = *local;
	e->cookie = cookie;
	e->fd = fd;
	e->ipv6 = ipv6;
	atomic_store(&last_used, e->used);
	atomic_store(&owner, myself());
	put(e);
	return true;
}

void udp_kept_give(const struct udp_mark *mark, int fd, const struct udp_address *local, bool ipv6,
		   int reply, bool more)
{
	int saved = errno;

	if (mark->forks != udp_marks_forks || (reply < FIRST_FD && !more && !is_readable(fd))) {
		close_guarded(reply);
		errno = saved;
		return;
	}
	reply = move_up(reply);
	if (reply >= 0 && !keep(mark, local, ipv6, reply))
		close_guarded(reply);
	/* Another thread may have taken the last datagram before there was something to close. */
	if (!more)
		udp_kept_review(mark, fd);
	errno = saved;
}

void udp_kept_close(uint64_t server)
{
	int saved = errno;

	if (owner != myself())
		return;
	for (struct entry *e = entries; e < entries + UDP_KEPT_MAX; e++) {
		if ((server && e->server != server) || !take(e))
			continue;
		if (server && e->server != server) {
			put(e);
			continue;
		}
		close_it(e);
		atomic_store(&e->state, EMPTY);
	}
	errno = saved;
}

void udp_kept_review(const struct udp_mark *mark, int fd)
{
	int saved = errno;

	if (udp_kept_any() && !is_readable(fd))
		udp_kept_close(mark->cookie);
	errno = saved;
}

void udp_kept_tidy(void)
{
	uint64_t now = now_ms();

	if (now - last_used <= IDLE_MS)
		return;
	last_used = now; /* close() comes here again, once for each */
	udp_kept_close(0);
}

static void in_parent(void)
{
	udp_marks_forks++;
	if (udp_kept_any())
		udp_kept_close(0);
}

/* Threads that had one of them are not here. */
static void in_child(void)
{
	udp_marks_forks++;
	for (struct entry *e = entries; e < entries + UDP_KEPT_MAX; e++) {
		if (e->state == KEPT)
			close_it(e);
		e->state = EMPTY;
	}
	udp_kept_count = 0;
}

void udp_kept_start(void)
{
	(void)pthread_atfork(NULL, in_parent, in_child);
}
