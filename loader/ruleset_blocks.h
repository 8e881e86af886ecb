/* SPDX-License-Identifier: BSD-3-Clause */
/* Part of the compiler of rulesets: a growing array of blocks, and a table that finds what is
 * in it already.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <isomer/abi.h>

struct blocks {
	struct isomer_block *block;
	size_t n, capacity;
};

/** Makes room for @n more blocks, so that adding them copies nothing. */
int blocks_reserve(struct blocks *b, size_t n);

/** Adds @n blocks of zeros and says where the first is. Moves @b->block. */
int blocks_add(struct blocks *b, size_t n, uint32_t *ret_first);
void blocks_done(struct blocks *b);

/** From hashes to numbers: several numbers may have one hash, so the caller compares. */
struct lookup {
	struct lookup_slot {
		uint32_t hash, number;
	} * slot;
	size_t n, size; /* a power of two, or 0 */
};

#define LOOKUP_NONE UINT32_MAX

/** The next number under @hash, or LOOKUP_NONE. @cursor: 0 at first. */
uint32_t lookup_next(const struct lookup *l, uint32_t hash, size_t *cursor);
int lookup_add(struct lookup *l, uint32_t hash, uint32_t number);
void lookup_done(struct lookup *l);

uint32_t words_hash(const uint32_t *words, size_t n);
