/* SPDX-License-Identifier: BSD-3-Clause */
/* A tree of many parts is a chain of nodes that wait for each other. Where its numbers are spread
 * well, a table on some leading bits leads to small trees at once, at the price of leaves that are
 * not full.
 */
#include "loader/ruleset_word.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/ruleset_tree.h"
#include "state/cleanup.h"

#define PARTS_MIN 4096 /* of a table: a tree of less is low */

/* What a table may cost in blocks: two of five that a tree has, or what the domain has left for it.
 */
#define SHARE_NUMERATOR   2
#define SHARE_DENOMINATOR 5

/* A table of parts: an entry of each of 1 << bits equal pieces of the numbers. */
struct table {
	const struct part *part;
	size_t n;
	unsigned int word, fixed, bits;
	uint64_t blocks;
	uint64_t steps; /* to the values of all parts, together */
};

static uint32_t entry_last(const struct table *t, uint32_t entry)
{
	unsigned int shift = 32 - t->fixed - t->bits;
	uint64_t first = (uint64_t)t->part[t->n - 1].last + 1 - ((uint64_t)1 << (32 - t->fixed));

	return (uint32_t)(first + (((uint64_t)entry + 1) << shift) - 1);
}

/* Blocks of a tree of @n parts, and nodes on the way to a value. */
static uint64_t tree_blocks(uint64_t n, unsigned int *ret_steps)
{
	uint64_t nodes = (n + ISOMER_LEAF) / (ISOMER_LEAF + 1), blocks = nodes;

	for (*ret_steps = 1; nodes > 1; ++*ret_steps) {
		nodes = (nodes + ISOMER_INNER) / (ISOMER_INNER + 1);
		blocks += nodes;
	}
	return blocks;
}

/* The parts of @entry, of which *@from is the first. Moves it to the first one of the next entry.
 */
static size_t entry_parts(const struct table *t, uint32_t entry, size_t *from)
{
	uint32_t last = entry_last(t, entry);
	size_t first = *from;

	while (t->part[*from].last < last)
		++*from;
	if (t->part[*from].last > last || *from + 1 == t->n)
		return *from - first + 1;
	return ++*from - first;
}

static void measure(struct table *t)
{
	size_t from = 0;

	t->blocks = ((uint64_t)1 << t->bits) / ISOMER_BLOCK_WORDS + ISOMER_TABLE_ALIGNMENT;
	t->steps = t->n;
	for (uint32_t entry = 0; entry < 1u << t->bits; entry++) {
		size_t n = entry_parts(t, entry, &from);
		unsigned int steps;

		if (n == 1)
			continue;
		t->blocks += tree_blocks(n, &steps);
		t->steps += n * steps;
	}
}

/* Picks the table with the fewest steps, if one has fewer than a tree. */
static bool choose(struct domain *domain, struct table *t)
{
	unsigned int steps;
	uint64_t tree = tree_blocks(t->n, &steps);
	uint64_t most = tree * SHARE_NUMERATOR / SHARE_DENOMINATOR, cost;
	struct table best = *t;

	if (most < domain->table_blocks)
		most = domain->table_blocks;
	best.steps = t->n * steps;
	for (t->bits = ISOMER_TABLE_BITS_MIN; t->bits <= ISOMER_TABLE_BITS_MAX; t->bits += 2) {
		if (t->fixed + t->bits > 32)
			break;
		measure(t);
		if (t->blocks <= tree + most && t->steps < best.steps)
			best = *t;
	}
	*t = best;
	if (best.bits == 0)
		return false;
	cost = best.blocks > tree ? best.blocks - tree : 0;
	domain->table_blocks -= cost < domain->table_blocks ? cost : domain->table_blocks;
	return true;
}

static int write_tree(struct domain *domain, const struct part *part, size_t n, unsigned int word,
		      uint32_t *ret_value)
{
	CLEANUP(tree_writer_done) struct tree_writer w = { 0 };
	int r = tree_begin(&w, domain->blocks, n);

	for (size_t i = 0; i < n && r == 0; i++)
		r = tree_segment(&w, part[i].last, part[i].value);
	return r < 0 ? r : tree_end(&w, &domain->trees, ISOMER_KIND_WORD + word, ret_value);
}

static int write_table(struct domain *domain, const struct table *t, uint32_t *ret_value)
{
	CLEANUP_FREE uint32_t *entries = reallocarray(NULL, (size_t)1 << t->bits, sizeof(*entries));
	uint32_t n_blocks = (1u << t->bits) / ISOMER_BLOCK_WORDS, first, padding;
	size_t from = 0;
	int r;

	if (!entries)
		return -ENOMEM;
	for (uint32_t entry = 0; entry < 1u << t->bits; entry++) {
		const struct part *part = &t->part[from];
		size_t n = entry_parts(t, entry, &from);

		entries[entry] = part->value;
		if (n == 1)
			continue;
		r = write_tree(domain, part, n, t->word, &entries[entry]);
		if (r < 0)
			return r;
	}
	padding = -(uint32_t)domain->blocks->n % ISOMER_TABLE_ALIGNMENT;
	r = blocks_add(domain->blocks, padding + n_blocks, &first);
	if (r < 0)
		return r;
	first += padding;
	memcpy(&domain->blocks->block[first], entries, n_blocks * sizeof(struct isomer_block));
	*ret_value = ISOMER_TABLE(t->word, t->fixed, t->bits, first);
	return 0;
}

int word_write(struct domain *domain, const struct part *part, size_t n, unsigned int word,
	       unsigned int fixed, uint32_t *ret_value)
{
	struct table t = { .part = part, .n = n, .word = word, .fixed = fixed };

	if (n >= PARTS_MIN && choose(domain, &t))
		return write_table(domain, &t, ret_value);
	return write_tree(domain, part, n, word, ret_value);
}
