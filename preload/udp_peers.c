/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/udp_peers.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "preload/table.h"

#define WAYS     8
#define SETS     (UDP_PEERS_MAX / WAYS)
#define CHOICES  2
#define ATTEMPTS 64 /* for another writer to be through; his thread may not be running */
#define NOWHERE  WAYS

/* Of an entry: the key, then what is kept for it. */
enum word {
	COOKIE,
	PEER_0,
	PEER_1,
	PEER_PORT,
	KEY_WORDS,
	LOCAL_0 = KEY_WORDS,
	LOCAL_1,
	LOCAL_PORT,
	WORDS,
};

struct entry {
	uint64_t word[WORDS];
};

struct set {
	_Atomic uint32_t sequence;   /* odd while it is written */
	_Atomic uint32_t used[WAYS]; /* when: as the clock had it; 0: nothing there */
	_Atomic uint16_t tag[WAYS];  /* of the hash: most of what is not sought ends here */
	_Atomic uint64_t entry[WAYS][WORDS];
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct set) == 512, "cache lines of a set");

struct table {
	uint64_t seed;          /* peers must not find out who shares their sets */
	_Atomic uint32_t clock; /* counts datagrams */
	/* Which entry was noted last, as set * WAYS + way + 1; 0: none. An answer mostly goes to
	 * who has just written, and the next datagram comes from there. */
	_Atomic uint32_t latest;
	struct set sets[SETS];
};

static _Atomic(struct table *) table;

/* An entry as it was found. */
struct found {
	struct set *set;
	unsigned way; /* NOWHERE: it was not */
	uint32_t used;
	struct entry entry;
};

int udp_peers_start(void)
{
	struct table *seen = NULL, *fresh;

	if (atomic_load(&table))
		return 0;
	fresh = table_map(sizeof(*fresh));
	if (!fresh)
		return -errno;
	if (getrandom(&fresh->seed, sizeof(fresh->seed), GRND_NONBLOCK) < 0)
		fresh->seed = (uintptr_t)fresh;
	if (!atomic_compare_exchange_strong(&table, &seen, fresh))
		munmap(fresh, sizeof(*fresh));
	return 0;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15;
	return hash ^ hash >> 32;
}

static uint64_t hash_of(const struct table *t, const struct entry *e)
{
	uint64_t hash = t->seed;

	for (unsigned i = 0; i < KEY_WORDS; i++)
		hash = mix(hash, e->word[i]);
	return mix(hash, t->seed);
}

static uint16_t tag_of(uint64_t hash)
{
	return (uint16_t)(hash >> 48);
}

static struct set *set_of(struct table *t, uint64_t hash, unsigned choice)
{
	return &t->sets[(hash >> (choice ? 24 : 0)) % SETS];
}

static void put_address(uint64_t *words, const struct udp_address *a)
{
	words[0] = a->addr[0];
	words[1] = a->addr[1];
	words[2] = (uint64_t)a->port << 32 | a->scope;
}

static struct entry key_of(uint64_t cookie, const struct udp_address *peer)
{
	struct entry e = { .word[COOKIE] = cookie };

	put_address(&e.word[PEER_0], peer);
	return e;
}

/* ---- one set ---- */

/* Every load of an entry is an acquire and every store a release: that keeps them between those of
 * the sequence counter, as fences would, which ThreadSanitizer does not know. */

static bool read_entry(struct set *s, unsigned way, const struct entry *key, struct entry *ret)
{
	for (unsigned i = 0; i < WORDS; i++)
		ret->word[i] = atomic_load_explicit(&s->entry[way][i], memory_order_acquire);
	return !memcmp(ret, key, KEY_WORDS * sizeof(key->word[0]));
}

static unsigned way_of(struct set *s, uint16_t tag, const struct entry *key, struct entry *ret)
{
	for (unsigned way = 0; way < WAYS; way++) {
		if (atomic_load_explicit(&s->used[way], memory_order_acquire) == 0 ||
		    atomic_load_explicit(&s->tag[way], memory_order_acquire) != tag)
			continue;
		if (read_entry(s, way, key, ret))
			return way;
	}
	return NOWHERE;
}

static struct found look(struct set *s, uint16_t tag, const struct entry *key)
{
	struct found f = { .set = s };

	for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
		uint32_t before = atomic_load_explicit(&s->sequence, memory_order_acquire);

		f.way = way_of(s, tag, key, &f.entry);
		if (f.way != NOWHERE)
			f.used = atomic_load_explicit(&s->used[f.way], memory_order_acquire);
		if (!(before & 1) &&
		    atomic_load_explicit(&s->sequence, memory_order_relaxed) == before)
			return f;
	}
	f.way = NOWHERE;
	return f;
}

/* False: somebody else writes, and does not come to an end. */
static bool take(struct set *s, uint32_t *ret_sequence)
{
	for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
		uint32_t seen = atomic_load_explicit(&s->sequence, memory_order_relaxed);

		if (!(seen & 1) && atomic_compare_exchange_strong(&s->sequence, &seen, seen + 1)) {
			*ret_sequence = seen;
			return true;
		}
	}
	return false;
}

static void give(struct set *s, uint32_t sequence)
{
	atomic_store_explicit(&s->sequence, sequence + 2, memory_order_release);
}

/* Where a new entry goes. Returns how good a place it is: with as many empty ones beside it as can
 * be, else in the stead of what was used longest ago. */
static uint64_t room(const struct set *s, uint32_t now, unsigned *ret_way)
{
	uint32_t longest = 0, empty = 0;

	*ret_way = 0;
	for (unsigned way = 0; way < WAYS; way++) {
		uint32_t used = atomic_load_explicit(&s->used[way], memory_order_relaxed);
		uint32_t age = used == 0 ? UINT32_MAX : now - used;

		empty += used == 0;
		if (age >= longest) {
			longest = age;
			*ret_way = way;
		}
	}
	return (uint64_t)empty << 32 | longest;
}

/* @way NOWHERE: wherever the oldest is. */
static bool write_entry(struct set *s, unsigned way, uint16_t tag, const struct entry *e,
			uint32_t now)
{
	uint32_t sequence;

	if (!take(s, &sequence))
		return false;
	if (way == NOWHERE)
		(void)room(s, now, &way);
	for (unsigned i = 0; i < WORDS; i++)
		atomic_store_explicit(&s->entry[way][i], e->word[i], memory_order_release);
	atomic_store_explicit(&s->tag[way], tag, memory_order_release);
	atomic_store_explicit(&s->used[way], now, memory_order_release);
	give(s, sequence);
	return true;
}

/* ---- both sets of a peer ---- */

/* In both when one could not be written: the later counts. */
static struct found look_everywhere(struct table *t, uint64_t hash, const struct entry *key)
{
	struct found f[CHOICES];

	for (unsigned i = 0; i < CHOICES; i++)
		__builtin_prefetch(set_of(t, hash, i));
	for (unsigned i = 0; i < CHOICES; i++)
		f[i] = look(set_of(t, hash, i), tag_of(hash), key);
	if (f[0].way == NOWHERE || (f[1].way != NOWHERE && (int32_t)(f[1].used - f[0].used) > 0))
		return f[1];
	return f[0];
}

static void note_latest(struct table *t, const struct set *s, unsigned way)
{
	uint32_t latest = (uint32_t)(s - t->sets) * WAYS + way + 1;

	if (atomic_load_explicit(&t->latest, memory_order_relaxed) != latest)
		atomic_store_explicit(&t->latest, latest, memory_order_relaxed);
}

/* The entry that was noted last, if it is the one that is sought. */
static bool look_latest(struct table *t, const struct entry *key, struct found *ret)
{
	uint32_t latest = atomic_load_explicit(&t->latest, memory_order_relaxed), before;
	struct set *s;

	if (latest == 0)
		return false;
	s = &t->sets[(latest - 1) / WAYS];
	*ret = (struct found){ .set = s, .way = (latest - 1) % WAYS };
	before = atomic_load_explicit(&s->sequence, memory_order_acquire);
	ret->used = atomic_load_explicit(&s->used[ret->way], memory_order_acquire);
	return ret->used != 0 && read_entry(s, ret->way, key, &ret->entry) && !(before & 1) &&
	       atomic_load_explicit(&s->sequence, memory_order_relaxed) == before;
}

static uint32_t tick(struct table *t)
{
	uint32_t now = atomic_fetch_add_explicit(&t->clock, 1, memory_order_relaxed) + 1;

	return now ? now : 1;
}

/* True if it says already what is to be kept. */
static bool confirm(struct table *t, const struct found *f, const struct entry *e, uint32_t now)
{
	if (memcmp(&f->entry, e, sizeof(*e)) != 0)
		return false;
	atomic_store_explicit(&f->set->used[f->way], now, memory_order_relaxed);
	note_latest(t, f->set, f->way);
	return true;
}

void udp_peers_set(uint64_t cookie, const struct udp_address *peer, const struct udp_address *local)
{
	struct table *t = atomic_load_explicit(&table, memory_order_acquire);
	struct entry key = key_of(cookie, peer);
	struct found f;
	struct set *s[CHOICES];
	uint64_t hash;
	uint32_t now;
	unsigned way, first;

	if (!t)
		return;
	now = tick(t);
	put_address(&key.word[LOCAL_0], local);
	if (look_latest(t, &key, &f) && confirm(t, &f, &key, now))
		return;
	hash = hash_of(t, &key);
	f = look_everywhere(t, hash, &key);
	if (f.way != NOWHERE && confirm(t, &f, &key, now))
		return;

	/* What is written may go into the other set. */
	atomic_store_explicit(&t->latest, 0, memory_order_relaxed);
	for (unsigned i = 0; i < CHOICES; i++)
		s[i] = set_of(t, hash, i);
	first = room(s[1], now, &way) > room(s[0], now, &way);
	if (f.way != NOWHERE)
		first = f.set == s[1];
	if (!write_entry(s[first], f.way, tag_of(hash), &key, now))
		write_entry(s[!first], NOWHERE, tag_of(hash), &key, now);
}

void udp_peers_forget(uint64_t cookie, const struct udp_address *peer)
{
	static const struct udp_address nowhere;
	struct udp_address local;

	if (udp_peers_find(cookie, peer, &local))
		udp_peers_set(cookie, peer, &nowhere);
}

bool udp_peers_find(uint64_t cookie, const struct udp_address *peer, struct udp_address *ret_local)
{
	struct table *t = atomic_load_explicit(&table, memory_order_acquire);
	struct entry key = key_of(cookie, peer);
	struct found f;

	if (!t)
		return false;
	if (!look_latest(t, &key, &f))
		f = look_everywhere(t, hash_of(t, &key), &key);
	if (f.way == NOWHERE || f.entry.word[LOCAL_PORT] == 0)
		return false;
	ret_local->addr[0] = f.entry.word[LOCAL_0];
	ret_local->addr[1] = f.entry.word[LOCAL_1];
	ret_local->port = (uint16_t)(f.entry.word[LOCAL_PORT] >> 32);
	ret_local->scope = (uint32_t)f.entry.word[LOCAL_PORT];
	return true;
}
