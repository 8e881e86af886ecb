/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/ruleset_tree.h"

/* Narrow and wide nodes differ in numbers only. */
struct shape {
	unsigned int key_words;
	unsigned int leaf_values, first_value; /* first_value: its word */
	unsigned int children, first_child;    /* first_child: its word */
};

static const struct shape narrow_shape = {
	.key_words = 1,
	.leaf_values = ISOMER_NARROW_LEAF + 1,
	.first_value = ISOMER_NARROW_VALUES,
	.children = ISOMER_NARROW_INNER + 1,
	.first_child = ISOMER_NARROW_FIRST_CHILD,
};

static const struct shape wide_shape = {
	.key_words = 4,
	.leaf_values = ISOMER_WIDE_LEAF + 1,
	.first_value = ISOMER_WIDE_VALUES,
	.children = ISOMER_WIDE_INNER + 1,
	.first_child = ISOMER_WIDE_FIRST_CHILD,
};

/* Every binding makes up to two segments. Wide trees are the higher ones. */
_Static_assert(((size_t)ISOMER_WIDE_LEAF + 1) << 3 * ISOMER_LEVELS_MAX > 2 * ISOMER_BINDINGS_MAX &&
		       ISOMER_WIDE_INNER + 1 == 1 << 3,
	       "a tree of all bindings has no more levels than a reference can tell");

static const struct shape *shape_of(const struct tree_writer *w)
{
	return w->wide ? &wide_shape : &narrow_shape;
}

static void put_separator(const struct shape *s, uint32_t *separators, unsigned int i,
			  struct address key)
{
	if (s->key_words == 1) {
		separators[i] = (uint32_t)key.lo;
		return;
	}
	separators[4 * i] = key.hi >> 32;
	separators[4 * i + 1] = (uint32_t)key.hi;
	separators[4 * i + 2] = key.lo >> 32;
	separators[4 * i + 3] = (uint32_t)key.lo;
}

int tree_begin(struct tree_writer *w, struct blocks *blocks, bool wide, size_t n_segments)
{
	size_t n_leaves;
	int r;

	*w = (struct tree_writer){ .blocks = blocks, .wide = wide, .first = blocks->n };
	n_leaves = n_segments / shape_of(w)->leaf_values + 1;
	/* The levels above have a seventh of it at most, and a few blocks. */
	r = blocks_reserve(blocks, n_leaves + n_leaves / 7 + ISOMER_LEVELS_MAX);
	if (r < 0)
		return r;
	w->last = reallocarray(NULL, n_leaves, sizeof(*w->last));
	return w->last ? 0 : -ENOMEM;
}

void tree_writer_done(struct tree_writer *w)
{
	free(w->last);
	w->last = NULL;
}

static int begin_leaf(struct tree_writer *w)
{
	const struct shape *s = shape_of(w);
	uint32_t first;
	int r;

	r = blocks_add(w->blocks, 1, &first);
	if (r < 0)
		return r;
	memset(w->blocks->block[first].word, 0xff,
	       (s->leaf_values - 1) * s->key_words * sizeof(uint32_t));
	return 0;
}

/* Writes the pending segment. */
static int flush(struct tree_writer *w)
{
	const struct shape *s = shape_of(w);
	uint32_t *words;
	int r;

	if (w->used == 0) {
		r = begin_leaf(w);
		if (r < 0)
			return r;
	}
	words = w->blocks->block[w->blocks->n - 1].word;
	words[s->first_value + w->used] = w->pending_value;
	if (w->used < s->leaf_values - 1)
		put_separator(s, words, w->used, w->pending_last);
	w->last[w->n_leaves] = w->pending_last;
	if (++w->used == s->leaf_values) {
		w->n_leaves++;
		w->used = 0;
	}
	return 0;
}

int tree_segment(struct tree_writer *w, struct address last, uint32_t value)
{
	int r;

	if (w->pending && !address_less(w->pending_last, last))
		return 0;
	if (w->pending && w->pending_value != value) {
		r = flush(w);
		if (r < 0)
			return r;
	}
	w->pending = true;
	w->pending_last = last;
	w->pending_value = value;
	return 0;
}

/* Puts a level of inner nodes on the @n nodes that begin at block @first, whose last keys are in
 * w->last; and leaves there the last keys of the new nodes. */
static int add_level(struct tree_writer *w, uint32_t first, size_t n, uint32_t *ret_first)
{
	const struct shape *s = shape_of(w);
	size_t n_nodes = (n + s->children - 1) / s->children;
	int r;

	r = blocks_add(w->blocks, n_nodes, ret_first);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n_nodes; i++) {
		uint32_t *words = w->blocks->block[*ret_first + i].word;
		size_t child = i * s->children, end = child + s->children;

		if (end > n)
			end = n;
		memset(words, 0xff, (s->children - 1) * s->key_words * sizeof(uint32_t));
		words[s->first_child] = first + child;
		for (size_t c = child; c + 1 < end; c++)
			put_separator(s, words, c - child, w->last[c]);
		w->last[i] = w->last[end - 1];
	}
	return 0;
}

/* Are the trees of @n_leaves leaves at the blocks @a and @b the same but for their place? That the
 * leaves are the same is not enough: a full one leaves its last key to the nodes above. */
static bool same_tree(const struct tree_writer *w, size_t a, size_t b, size_t n_leaves,
		      size_t n_blocks)
{
	const struct isomer_block *blocks = w->blocks->block;
	size_t separators = shape_of(w)->first_child * sizeof(uint32_t);

	if (memcmp(&blocks[a], &blocks[b], n_leaves * sizeof(*blocks)) != 0)
		return false;
	for (size_t i = n_leaves; i < n_blocks; i++)
		if (memcmp(&blocks[a + i], &blocks[b + i], separators) != 0)
			return false;
	return true;
}

/* Replaces the tree at the end of the blocks by an equal one, if there is one already. */
static int share(struct tree_writer *w, struct trees *t, size_t n_leaves, uint32_t *reference)
{
	uint32_t hash = words_hash(w->blocks->block[w->first].word, n_leaves * ISOMER_BLOCK_WORDS);
	size_t cursor = 0;
	uint32_t i;

	while ((i = lookup_next(&t->lookup, hash, &cursor)) != LOOKUP_NONE) {
		const struct tree *tree = &t->tree[i];

		if (tree->n_leaves != n_leaves ||
		    !same_tree(w, w->first, tree->first, n_leaves, w->blocks->n - w->first))
			continue;
		w->blocks->n = w->first;
		*reference = tree->reference;
		return 0;
	}
	if (t->n == t->capacity) {
		size_t capacity = t->capacity + t->capacity / 2 + 16;
		void *p = reallocarray(t->tree, capacity, sizeof(*t->tree));

		if (!p)
			return -ENOMEM;
		t->tree = p;
		t->capacity = capacity;
	}
	t->tree[t->n] = (struct tree){ w->first, n_leaves, *reference };
	return lookup_add(&t->lookup, hash, t->n++);
}

int tree_end(struct tree_writer *w, struct trees *trees, uint32_t *ret_reference)
{
	unsigned int levels = 0;
	uint32_t root = w->first, reference;
	size_t n, n_leaves;
	int r;

	r = flush(w);
	if (r < 0)
		return r;
	n_leaves = w->n_leaves + (w->used > 0);
	for (n = n_leaves; n > 1; n = (n + shape_of(w)->children - 1) / shape_of(w)->children) {
		r = add_level(w, root, n, &root);
		if (r < 0)
			return r;
		levels++;
	}
	reference = ISOMER_TREE_REF(root, levels);
	if (trees) {
		r = share(w, trees, n_leaves, &reference);
		if (r < 0)
			return r;
	}
	*ret_reference = reference;
	return 0;
}

void trees_done(struct trees *t)
{
	free(t->tree);
	lookup_done(&t->lookup);
	*t = (struct trees){ 0 };
}
