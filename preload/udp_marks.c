/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/udp_marks.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload/table.h"
#include "preload/udp_kept.h"

/* Of one descriptor. Written before the cookie, which is 0 meanwhile. */
struct udp_mark_slot {
	_Atomic uint64_t cookie;
	_Atomic uint64_t addr[2];
	_Atomic uint32_t scope;
	_Atomic uint16_t port;
	_Atomic uint8_t ipv6;
	_Atomic uint8_t wishes;
	_Atomic uint32_t forks;
	_Atomic uint32_t netns_inode;
	_Atomic uint64_t verified; /* by whom, and when; 0 once that was made use of */
	_Atomic uint64_t asked; /* udp_marks_made + 1 when the kernel last confirmed it; 0: never */
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct udp_mark_slot) == 64, "cache line of a mark");

_Atomic(struct udp_mark_slot *) udp_marks;

_Atomic uint64_t udp_marks_made;
_Atomic uint32_t udp_marks_forks;

static int map_marks(struct udp_mark_slot **ret)
{
	size_t size = UDP_MARKS_MAX * sizeof(struct udp_mark_slot);
	struct udp_mark_slot *seen = NULL, *fresh;

	*ret = atomic_load(&udp_marks);
	if (*ret)
		return 0;
	fresh = table_map(size);
	if (!fresh)
		return -errno;
	if (!atomic_compare_exchange_strong(&udp_marks, &seen, fresh)) {
		munmap(fresh, size);
		fresh = seen;
	}
	*ret = fresh;
	return 0;
}

int udp_mark_set(int fd, const struct udp_mark *mark)
{
	struct udp_mark_slot *slots;
	int r;

	if (fd < 0 || fd >= UDP_MARKS_MAX)
		return -EMFILE;
	r = map_marks(&slots);
	if (r < 0)
		return r;
	atomic_store(&slots[fd].cookie, 0);
	atomic_store(&slots[fd].verified, 0);
	atomic_store(&slots[fd].asked, 0);
	atomic_store(&slots[fd].addr[0], mark->bound.addr[0]);
	atomic_store(&slots[fd].addr[1], mark->bound.addr[1]);
	atomic_store(&slots[fd].scope, mark->bound.scope);
	atomic_store(&slots[fd].port, mark->bound.port);
	atomic_store(&slots[fd].ipv6, mark->ipv6);
	atomic_store(&slots[fd].wishes, (uint8_t)mark->wishes);
	atomic_store(&slots[fd].forks, mark->forks);
	atomic_store(&slots[fd].netns_inode, mark->netns_inode);
	atomic_store(&slots[fd].cookie, mark->cookie);
	return 0;
}

/* Not by libc's function: it is hooked. */
int udp_mark_cookie(int fd, uint64_t *ret)
{
	socklen_t len = sizeof(*ret);
	int saved = errno, r = 0;

	if (syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, ret, &len) < 0)
		r = -errno;
	errno = saved;
	return r;
}

/* Also when the kernel does not say, as a filter may have it: no answer leaves from elsewhere for
 * that, and under another socket's descriptor there is nothing to be found. */
static bool has_cookie(int fd, uint64_t expected)
{
	uint64_t cookie;
	int r = udp_mark_cookie(fd, &cookie);

	return r == 0 ? cookie == expected : r != -EBADF && r != -ENOTSOCK;
}

/* This thread, by an address of 47 bits and a multiple of 16, and how many descriptors have been
 * made. A thread-local variable would take the dynamic linker beside libc. */
static uint64_t myself_at(uint64_t made)
{
	return (uint64_t)pthread_self() << 17 | (made & 0x1fffff);
}

static uint64_t made_so_far(void)
{
	return atomic_load_explicit(&udp_marks_made, memory_order_acquire);
}

static void read_slot(struct udp_mark_slot *slot, struct udp_mark *ret)
{
	ret->bound.addr[0] = atomic_load_explicit(&slot->addr[0], memory_order_relaxed);
	ret->bound.addr[1] = atomic_load_explicit(&slot->addr[1], memory_order_relaxed);
	ret->bound.scope = atomic_load_explicit(&slot->scope, memory_order_relaxed);
	ret->bound.port = atomic_load_explicit(&slot->port, memory_order_relaxed);
	ret->ipv6 = atomic_load_explicit(&slot->ipv6, memory_order_relaxed);
	ret->wishes = atomic_load_explicit(&slot->wishes, memory_order_relaxed);
	ret->forks = atomic_load_explicit(&slot->forks, memory_order_relaxed);
	ret->netns_inode = atomic_load_explicit(&slot->netns_inode, memory_order_relaxed);
}

bool udp_mark_verify(struct udp_mark_slot *slots, int fd, struct udp_mark *ret)
{
	struct udp_mark_slot *slot;
	uint64_t made;

	if (udp_kept_any())
		udp_kept_tidy();
	if (fd < 0 || fd >= UDP_MARKS_MAX)
		return false;
	slot = &slots[fd];
	ret->cookie = atomic_load_explicit(&slot->cookie, memory_order_acquire);
	if (ret->cookie == 0)
		return false;
	made = made_so_far();
	if (!has_cookie(fd, ret->cookie)) { /* the number is something else's by now */
		atomic_compare_exchange_strong(&slot->cookie, &ret->cookie, 0);
		return false;
	}
	read_slot(slot, ret);
	atomic_store_explicit(&slot->verified, myself_at(made), memory_order_relaxed);
	atomic_store_explicit(&slot->asked, made + 1, memory_order_release);
	return true;
}

bool udp_mark_verify_again(struct udp_mark_slot *slots, int fd, struct udp_mark *ret)
{
	struct udp_mark_slot *slot;
	uint64_t myself = myself_at(made_so_far());

	if (fd < 0 || fd >= UDP_MARKS_MAX)
		return false;
	slot = &slots[fd];
	if (!atomic_compare_exchange_strong(&slot->verified, &myself, 0))
		return udp_mark_verify(slots, fd, ret);
	ret->cookie = atomic_load_explicit(&slot->cookie, memory_order_acquire);
	read_slot(slot, ret);
	return ret->cookie != 0;
}

bool udp_mark_verify_likely(struct udp_mark_slot *slots, int fd, struct udp_mark *ret)
{
	struct udp_mark_slot *slot;
	uint64_t made = made_so_far();

	if (fd < 0 || fd >= UDP_MARKS_MAX)
		return false;
	slot = &slots[fd];
	if (atomic_load_explicit(&slot->asked, memory_order_acquire) != made + 1)
		return udp_mark_verify(slots, fd, ret);
	if (udp_kept_any())
		udp_kept_tidy();
	ret->cookie = atomic_load_explicit(&slot->cookie, memory_order_acquire);
	read_slot(slot, ret);
	atomic_store_explicit(&slot->verified, myself_at(made), memory_order_relaxed);
	return ret->cookie != 0;
}

bool udp_mark_confirm(int fd, const struct udp_mark *mark)
{
	struct udp_mark now;

	return udp_mark_look(fd, &now) && now.cookie == mark->cookie;
}

void udp_mark_doubt(int fd)
{
	atomic_store_explicit(&atomic_load(&udp_marks)[fd].verified, 0, memory_order_relaxed);
}

void udp_mark_closed(int fd)
{
	struct udp_mark_slot *slots = atomic_load_explicit(&udp_marks, memory_order_acquire);

	if (slots && fd >= 0 && fd < UDP_MARKS_MAX && atomic_load(&slots[fd].cookie))
		udp_mark_made();
}

void udp_mark_wish(int fd, enum udp_wish wish, bool on)
{
	struct udp_mark_slot *slot = &atomic_load(&udp_marks)[fd];

	if (on)
		atomic_fetch_or(&slot->wishes, (uint8_t)wish);
	else
		atomic_fetch_and(&slot->wishes, (uint8_t)~wish);
}

void udp_mark_copy(int fd, int copy)
{
	struct udp_mark mark;

	if (fd == copy)
		return;
	udp_mark_made();
	if (udp_mark_look(fd, &mark))
		(void)udp_mark_set(copy, &mark); /* its number may be too high */
}
