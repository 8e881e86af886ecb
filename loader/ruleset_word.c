/* SPDX-License-Identifier: BSD-3-Clause */
/* A tree of many parts is a chain of nodes that wait for each other. Where its numbers are spread
 * well, a table on some leading bits leads to small trees or to values at once, at the price of
 * leaves that are not full.
 */
#include "loader/ruleset_word.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/ruleset_tree.h"
#include "state/cleanup.h"

/* What a table may cost in blocks: two of five that a tree has, or what the domain has left for it,
 * of which it gets no more than a small tree has. */
#define SHARE_NUMERATOR   2
#define SHARE_DENOMINATOR 5
#define SMALL_TREE        512

/* What a step takes, about: an inner node is two lines of the cache, a leaf or an entry of a table
 * one, with less to compare. */
#define STEP_INNER 3
#define STEP_OTHER 2

uint32_t value_outside(const struct blocks *blocks, uint32_t value)
{
	while (ISOMER_REF_KIND(value) == ISOMER_KIND_PREFIX_TEST)
		value = tests_prefix_at(blocks, value)->out;
	return value;
}

/* A table of parts: an entry of each of 1 << bits equal pieces of the numbers. */
struct table {
	const struct blocks *blocks;
	const struct part *part;
	size_t n;
	unsigned int word, fixed, bits;
	uint64_t lines;
	uint64_t steps; /* to the values of all parts, together */
};

static uint32_t table_blocks(unsigned int bits)
{
	return (1u << bits) / ISOMER_BLOCK_WORDS;
}

static uint32_t entry_last(const struct table *t, uint32_t entry)
{
	unsigned int shift = 32 - t->fixed - t->bits;
	uint64_t first = (uint64_t)t->part[t->n - 1].last + 1 - ((uint64_t)1 << (32 - t->fixed));

	return (uint32_t)(first + (((uint64_t)entry + 1) << shift) - 1);
}

/* Lines of a tree of @n parts, and steps on the way to a value. */
static uint64_t tree_lines(uint64_t n, unsigned int *ret_steps)
{
	uint64_t nodes = (n + ISOMER_LEAF) / (ISOMER_LEAF + 1), lines = nodes;

	for (*ret_steps = STEP_OTHER; nodes > 1; *ret_steps += STEP_INNER) {
		nodes = (nodes + ISOMER_INNER) / (ISOMER_INNER + 1);
		lines += 2 * nodes;
	}
	return lines;
}

/* The parts of @entry: @part to @part[@n - 1], the last of which may end behind it. */
struct entry {
	const struct part *part;
	size_t n;
	uint32_t last_value; /* of the last one, here */
};

/* @from: the first part of @number. Moves it to the first one of the next. A test of the last
 * number of a part cannot hold where that number is not in the entry; and what it gives to others
 * needs no part of its own behind it. */
static struct entry entry_at(const struct table *t, uint32_t number, size_t *from)
{
	struct entry e = { .part = &t->part[*from] };
	uint32_t last = entry_last(t, number);
	const struct part *p = e.part;

	while (p->last < last)
		p++;
	e.n = (size_t)(p - e.part) + 1;
	e.last_value = p->last > last ? value_outside(t->blocks, p->value) : p->value;
	*from = (size_t)(p - t->part) + (p->last == last);
	if (e.n > 1 && value_outside(t->blocks, p[-1].value) == e.last_value) {
		e.n--;
		e.last_value = p[-1].value;
	}
	return e;
}

static void measure(struct table *t)
{
	size_t from = 0;

	t->lines = 2 * table_blocks(t->bits);
	t->steps = t->n * STEP_OTHER;
	for (uint32_t i = 0; i < 1u << t->bits; i++) {
		struct entry entry = entry_at(t, i, &from);
		unsigned int steps;

		if (entry.n == 1)
			continue;
		t->lines += tree_lines(entry.n, &steps);
		t->steps += entry.n * steps;
	}
}

/* Whether a reference can tell where the table will be. */
static bool reaches(const struct domain *domain, const struct table *t)
{
	uint64_t alignment = ISOMER_TABLE_ALIGNMENT(t->bits);

	return domain->blocks->n + t->lines / 2 + alignment < ISOMER_TABLE_BLOCKS_MAX * alignment;
}

/* Picks the table with the fewest steps, if one has fewer than a tree; a larger one has to have a
 * tenth less. */
static bool choose(struct domain *domain, struct table *t)
{
	unsigned int steps;
	uint64_t tree = tree_lines(t->n, &steps), most = domain->table_lines, cost;
	struct table best = *t;

	if (t->n < SMALL_TREE && most > tree)
		most = tree;
	if (most < tree * SHARE_NUMERATOR / SHARE_DENOMINATOR)
		most = tree * SHARE_NUMERATOR / SHARE_DENOMINATOR;
	best.steps = t->n * steps;
	for (t->bits = ISOMER_TABLE_BITS_MIN; t->bits <= ISOMER_TABLE_BITS_MAX; t->bits += 2) {
		if (t->fixed + t->bits > 32 || 2 * table_blocks(t->bits) > tree + most)
			break;
		measure(t);
		if (t->lines <= tree + most && 10 * t->steps < 9 * best.steps && reaches(domain, t))
			best = *t;
	}
	*t = best;
	if (best.bits == 0)
		return false;
	cost = best.lines > tree ? best.lines - tree : 0;
	domain->table_lines -= cost < domain->table_lines ? cost : domain->table_lines;
	return true;
}

static int write_tree(struct domain *domain, const struct entry *parts, unsigned int word,
		      uint32_t *ret_value)
{
	CLEANUP(tree_writer_done) struct tree_writer w = { 0 };
	size_t last = parts->n - 1;
	int r = tree_begin(&w, domain->blocks, parts->n);

	for (size_t i = 0; i < last && r == 0; i++)
		r = tree_segment(&w, parts->part[i].last, parts->part[i].value);
	if (r == 0)
		r = tree_segment(&w, UINT32_MAX, parts->last_value);
	return r < 0 ? r : tree_end(&w, &domain->trees, ISOMER_KIND_WORD + word, ret_value);
}

static int write_table(struct domain *domain, const struct table *t, uint32_t *ret_value)
{
	CLEANUP_FREE uint32_t *values = reallocarray(NULL, (size_t)1 << t->bits, sizeof(*values));
	uint32_t n_blocks = table_blocks(t->bits), first, padding;
	size_t from = 0;
	int r;

	if (!values)
		return -ENOMEM;
	for (uint32_t i = 0; i < 1u << t->bits; i++) {
		struct entry entry = entry_at(t, i, &from);

		values[i] = entry.last_value;
		if (entry.n == 1)
			continue;
		r = write_tree(domain, &entry, t->word, &values[i]);
		if (r < 0)
			return r;
	}
	padding = -(uint32_t)domain->blocks->n % ISOMER_TABLE_ALIGNMENT(t->bits);
	r = blocks_add(domain->blocks, padding + n_blocks, &first);
	if (r < 0)
		return r;
	first += padding;
	memcpy(&domain->blocks->block[first], values, n_blocks * sizeof(struct isomer_block));
	*ret_value = ISOMER_TABLE(t->word, t->fixed, t->bits, first);
	return 0;
}

int word_write(struct domain *domain, const struct part *part, size_t n, unsigned int word,
	       unsigned int fixed, uint32_t *ret_value)
{
	struct table t = {
		.blocks = domain->blocks, .part = part, .n = n, .word = word, .fixed = fixed
	};
	const struct entry all = { part, n, part[n - 1].value };

	if (n > ISOMER_LEAF + 1 && choose(domain, &t))
		return write_table(domain, &t, ret_value);
	return write_tree(domain, &all, word, ret_value);
}
