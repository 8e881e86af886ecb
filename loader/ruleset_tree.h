/* SPDX-License-Identifier: BSD-3-Clause */
/* Part of the compiler of rulesets: writes search trees (isomer/abi.h) into blocks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loader/ruleset_blocks.h"

/** Trees that are in the blocks already: equal ones are stored once. */
struct trees {
	struct tree {
		uint32_t first, n_leaves, reference;
	} * tree;
	size_t n, capacity;
	uint32_t spare; /* a line behind the last leaf of some tree, for a tree of one; 0: none */
	struct lookup lookup;
};

void trees_done(struct trees *t);

/**
 * A tree that is being written, segment by segment. Its blocks are the leaves in order, two in
 * each, then the levels above them, the root last. Nothing else may be added to the blocks
 * meanwhile.
 */
struct tree_writer {
	struct blocks *blocks;
	size_t first;   /* block of the first leaf */
	uint32_t *last; /* last key of each finished leaf */
	size_t n_leaves;
	unsigned int used; /* values in the leaf that is being filled; 0: there is none */
	bool pending;      /* the segment that may still grow: */
	uint32_t pending_last, pending_value;
};

/** @n_segments: how many there can be. */
int tree_begin(struct tree_writer *w, struct blocks *blocks, size_t n_segments);

/** The keys up to and with @last, behind the segment before, have @value. Nothing happens when the
 * segment before reaches that far. */
int tree_segment(struct tree_writer *w, uint32_t last, uint32_t value);

/** Ends the tree, whose last segment must reach the end of all keys. @kind: what it is searched
 * for, enum isomer_kind. @trees: may be NULL. */
int tree_end(struct tree_writer *w, struct trees *trees, unsigned int kind,
	     uint32_t *ret_reference);

void tree_writer_done(struct tree_writer *w);
