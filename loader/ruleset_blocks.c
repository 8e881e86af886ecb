/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/ruleset_blocks.h"

/* A reference tells blocks in 24 bits. */
#define BLOCKS_MAX ((size_t)1 << 24)

int blocks_reserve(struct blocks *b, size_t n)
{
	size_t capacity;
	void *p;

	if (n > BLOCKS_MAX - b->n)
		return -ENOMEM;
	if (b->n + n <= b->capacity)
		return 0;
	/* Half as much again: what is not used yet costs addresses, not memory. */
	capacity = b->n + n + (b->n + n) / 2 + 16;
	p = reallocarray(b->block, capacity, sizeof(*b->block));
	if (!p)
		return -ENOMEM;
	b->block = p;
	b->capacity = capacity;
	return 0;
}

int blocks_add(struct blocks *b, size_t n, uint32_t *ret_first)
{
	int r;

	r = blocks_reserve(b, n);
	if (r < 0)
		return r;
	memset(b->block + b->n, 0, n * sizeof(*b->block));
	*ret_first = b->n;
	b->n += n;
	return 0;
}

void blocks_done(struct blocks *b)
{
	free(b->block);
	*b = (struct blocks){ 0 };
}

uint32_t lookup_next(const struct lookup *l, uint32_t hash, size_t *cursor)
{
	if (!l->size)
		return LOOKUP_NONE;
	for (;;) {
		const struct lookup_slot *slot = &l->slot[(hash + *cursor) & (l->size - 1)];

		if (slot->number == LOOKUP_NONE)
			return LOOKUP_NONE;
		++*cursor;
		if (slot->hash == hash)
			return slot->number;
	}
}

static void put(struct lookup_slot *slots, size_t size, uint32_t hash, uint32_t number)
{
	size_t i = hash & (size - 1);

	while (slots[i].number != LOOKUP_NONE)
		i = (i + 1) & (size - 1);
	slots[i] = (struct lookup_slot){ hash, number };
}

/* Half of the slots stay empty, so that a search ends soon. */
static int grow(struct lookup *l)
{
	size_t size = l->size ? l->size * 2 : 64;
	struct lookup_slot *slots = reallocarray(NULL, size, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < size; i++)
		slots[i].number = LOOKUP_NONE;
	for (size_t i = 0; i < l->size; i++)
		if (l->slot[i].number != LOOKUP_NONE)
			put(slots, size, l->slot[i].hash, l->slot[i].number);
	free(l->slot);
	l->slot = slots;
	l->size = size;
	return 0;
}

int lookup_add(struct lookup *l, uint32_t hash, uint32_t number)
{
	int r;

	if ((l->n + 1) * 2 > l->size) {
		r = grow(l);
		if (r < 0)
			return r;
	}
	put(l->slot, l->size, hash, number);
	l->n++;
	return 0;
}

void lookup_done(struct lookup *l)
{
	free(l->slot);
	*l = (struct lookup){ 0 };
}

uint32_t words_hash(const uint32_t *words, size_t n)
{
	uint64_t h = n;

	for (size_t i = 0; i < n; i++) {
		h = (h ^ words[i]) * 0x9e3779b97f4a7c15; /* 2^64 over the golden ratio */
		h ^= h >> 32;
	}
	return (uint32_t)h;
}
