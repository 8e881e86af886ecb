/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/ruleset_tree.h"

#define LEAF_VALUES (ISOMER_LEAF + 1)
#define CHILDREN    (ISOMER_INNER + 1)

/* Every binding makes up to two segments. */
_Static_assert(((size_t)LEAF_VALUES << 5 * ISOMER_LEVELS_MAX) > 2 * ISOMER_BINDINGS_MAX &&
		       CHILDREN == 1 << 5 && ISOMER_LEVELS_MAX < 8,
	       "a tree of all bindings has no more levels than a reference can tell");

static size_t leaf_blocks(size_t n_leaves)
{
	return (n_leaves + 1) / 2;
}

static uint32_t *line_at(const struct blocks *blocks, size_t line)
{
	return &blocks->block[line / 2].word[line % 2 * ISOMER_LINE_WORDS];
}

int tree_begin(struct tree_writer *w, struct blocks *blocks, size_t n_segments)
{
	size_t n_leaves;
	int r;

	*w = (struct tree_writer){ .blocks = blocks, .first = blocks->n };
	n_leaves = n_segments / LEAF_VALUES + 1;
	/* The levels above have a part of it, and a few blocks. */
	r = blocks_reserve(blocks,
			   leaf_blocks(n_leaves) + n_leaves / ISOMER_INNER + ISOMER_LEVELS_MAX);
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
	uint32_t first;
	int r;

	if (w->n_leaves % 2 == 0) {
		r = blocks_add(w->blocks, 1, &first);
		if (r < 0)
			return r;
	}
	memset(line_at(w->blocks, 2 * w->first + w->n_leaves), 0xff,
	       ISOMER_LEAF * sizeof(uint32_t));
	return 0;
}

/* Writes the pending segment. */
static int flush(struct tree_writer *w)
{
	uint32_t *words;
	int r;

	if (w->used == 0) {
		r = begin_leaf(w);
		if (r < 0)
			return r;
	}
	words = line_at(w->blocks, 2 * w->first + w->n_leaves);
	words[ISOMER_VALUES + w->used] = w->pending_value;
	if (w->used < ISOMER_LEAF)
		words[w->used] = w->pending_last;
	w->last[w->n_leaves] = w->pending_last;
	if (++w->used == LEAF_VALUES) {
		w->n_leaves++;
		w->used = 0;
	}
	return 0;
}

int tree_segment(struct tree_writer *w, uint32_t last, uint32_t value)
{
	int r;

	if (w->pending && w->pending_last >= last)
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

/* Puts a level of inner nodes on the @n nodes that begin at @first, a line or a block, whose last
 * keys are in w->last; and leaves there the last keys of the new nodes. */
static int add_level(struct tree_writer *w, uint32_t first, size_t n, uint32_t *ret_first)
{
	size_t n_nodes = (n + CHILDREN - 1) / CHILDREN;
	int r;

	r = blocks_add(w->blocks, n_nodes, ret_first);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n_nodes; i++) {
		uint32_t *words = w->blocks->block[*ret_first + i].word;
		size_t child = i * CHILDREN, end = child + CHILDREN;

		if (end > n)
			end = n;
		memset(words, 0xff, ISOMER_INNER * sizeof(uint32_t));
		words[ISOMER_FIRST_CHILD] = first + child;
		memcpy(words, &w->last[child], (end - child - 1) * sizeof(uint32_t));
		w->last[i] = w->last[end - 1];
	}
	return 0;
}

/* Are the trees of @n_leaves leaves at the lines @a and @b the same but for their place? That the
 * leaves are the same is not enough: a full one leaves its last key to the nodes above. */
static bool same_tree(const struct tree_writer *w, size_t a, size_t b, size_t n_leaves)
{
	size_t inner_a = a / 2 + leaf_blocks(n_leaves), inner_b = b / 2 + leaf_blocks(n_leaves);

	if (memcmp(line_at(w->blocks, a), line_at(w->blocks, b),
		   n_leaves * sizeof(struct isomer_line)) != 0)
		return false;
	if (n_leaves == 1)
		return true;
	for (; inner_a < w->blocks->n; inner_a++, inner_b++)
		if (memcmp(&w->blocks->block[inner_a], &w->blocks->block[inner_b],
			   ISOMER_INNER * sizeof(uint32_t)) != 0)
			return false;
	return true;
}

/* Puts the leaf of a tree that has but one to where there is room for it, and notes where there is
 * now. */
static uint32_t use_spare(struct tree_writer *w, struct trees *t, size_t n_leaves)
{
	uint32_t line = 2 * w->first;

	if (n_leaves == 1 && t->spare) {
		line = t->spare;
		memcpy(line_at(w->blocks, line), line_at(w->blocks, 2 * w->first),
		       sizeof(struct isomer_line));
		w->blocks->n = w->first;
		t->spare = 0;
	} else if (n_leaves % 2 && !t->spare) {
		t->spare = line + n_leaves;
	}
	return line;
}

static int remember(struct trees *t, uint32_t hash, const struct tree *tree)
{
	if (t->n == t->capacity) {
		size_t capacity = t->capacity + t->capacity / 2 + 16;
		void *p = reallocarray(t->tree, capacity, sizeof(*t->tree));

		if (!p)
			return -ENOMEM;
		t->tree = p;
		t->capacity = capacity;
	}
	t->tree[t->n] = *tree;
	return lookup_add(&t->lookup, hash, t->n++);
}

/* Replaces the tree at the end of the blocks by an equal one, if there is one already. */
static int share(struct tree_writer *w, struct trees *t, size_t n_leaves, uint32_t *reference)
{
	uint32_t line = 2 * w->first, i;
	uint32_t hash = words_hash(line_at(w->blocks, line), n_leaves * ISOMER_LINE_WORDS);
	size_t cursor = 0;

	while ((i = lookup_next(&t->lookup, hash, &cursor)) != LOOKUP_NONE) {
		const struct tree *tree = &t->tree[i];

		if (tree->n_leaves != n_leaves || !same_tree(w, line, tree->first, n_leaves))
			continue;
		w->blocks->n = w->first;
		*reference = ISOMER_REF(ISOMER_REF_KIND(*reference), ISOMER_REF_N(tree->reference),
					ISOMER_REF_AT(tree->reference));
		return 0;
	}
	line = use_spare(w, t, n_leaves);
	if (n_leaves == 1)
		*reference = ISOMER_REF(ISOMER_REF_KIND(*reference), 0, line);
	return remember(t, hash, &(struct tree){ line, n_leaves, *reference });
}

int tree_end(struct tree_writer *w, struct trees *trees, unsigned int kind, uint32_t *ret_reference)
{
	uint32_t root = 2 * w->first, reference;
	unsigned int levels = 0;
	size_t n, n_leaves;
	int r;

	r = flush(w);
	if (r < 0)
		return r;
	n_leaves = w->n_leaves + (w->used > 0);
	for (n = n_leaves; n > 1; n = (n + CHILDREN - 1) / CHILDREN) {
		r = add_level(w, root, n, &root);
		if (r < 0)
			return r;
		levels++;
	}
	reference = ISOMER_REF(kind, levels, root);
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
