/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/ruleset_domain.h"
#include "state/cleanup.h"

/* A segment of the port tree. Lists are told by their word within @lists until those have a place
 * in the index. */
struct port_segment {
	uint32_t last, trees;
};

void domain_done(struct domain *d)
{
	trees_done(&d->trees);
	tests_done(&d->tests);
	blocks_done(&d->lists);
	lookup_done(&d->lists_lookup);
	free(d->segment);
	*d = (struct domain){ 0 };
}

static uint32_t *list_at(struct domain *d, uint32_t word)
{
	return &d->lists.block[word / ISOMER_BLOCK_WORDS].word[word % ISOMER_BLOCK_WORDS];
}

/* Finds a list among the lists, or adds it. */
static int add_list(struct domain *d, const uint32_t *list, unsigned int n, uint32_t *ret_word)
{
	uint32_t hash = words_hash(list, n), word, block;
	size_t cursor = 0;
	int r;

	while ((word = lookup_next(&d->lists_lookup, hash, &cursor)) != LOOKUP_NONE) {
		const uint32_t *same = list_at(d, word);

		if (same[0] != n || memcmp(same + 1, list, n * sizeof(*list)) != 0)
			continue;
		*ret_word = word;
		return 0;
	}
	if (d->lists.n == 0 || d->lists_used + n + 1 > ISOMER_BLOCK_WORDS) {
		r = blocks_add(&d->lists, 1, &block);
		if (r < 0)
			return r;
		d->lists_used = 0;
	}
	word = (d->lists.n - 1) * ISOMER_BLOCK_WORDS + d->lists_used;
	*list_at(d, word) = n;
	memcpy(list_at(d, word) + 1, list, n * sizeof(*list));
	d->lists_used += n + 1;
	*ret_word = word;
	return lookup_add(&d->lists_lookup, hash, word);
}

static int add_segment(struct domain *d, uint32_t last, uint32_t trees)
{
	if (d->n_segments == d->capacity) {
		size_t capacity = d->capacity * 2 + 16;
		void *p = reallocarray(d->segment, capacity, sizeof(*d->segment));

		if (!p)
			return -ENOMEM;
		d->segment = p;
		d->capacity = capacity;
	}
	d->segment[d->n_segments++] = (struct port_segment){ last, trees };
	return 0;
}

int domain_add_ports(struct domain *d, uint32_t last, const uint32_t *list, unsigned int n)
{
	uint32_t kept[ISOMER_TREES_MAX], word;
	unsigned int n_kept = 0;
	int r;

	for (unsigned int i = 0; i < n; i++) {
		unsigned int j = 0;

		while (j < n_kept && kept[j] != list[i])
			j++;
		if (j == n_kept)
			kept[n_kept++] = list[i];
	}
	if (n_kept < 2)
		return add_segment(d, last, n_kept ? kept[0] : 0);
	r = add_list(d, kept, n_kept, &word);
	if (r < 0)
		return r;
	return add_segment(d, last, ISOMER_LIST(word));
}

/* Joins neighbours that lead to the same trees. */
static void join_segments(struct domain *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_segments; i++) {
		if (n > 0 && d->segment[n - 1].trees == d->segment[i].trees)
			n--;
		d->segment[n++] = d->segment[i];
	}
	d->n_segments = n;
}

static int write_lists(struct domain *d)
{
	uint32_t lists;
	int r;

	if (d->lists.n == 0)
		return 0;
	r = blocks_add(d->blocks, d->lists.n, &lists);
	if (r < 0)
		return r;
	memcpy(&d->blocks->block[lists], d->lists.block, d->lists.n * sizeof(*d->lists.block));
	for (size_t i = 0; i < d->n_segments; i++)
		if (ISOMER_REF_KIND(d->segment[i].trees) == ISOMER_KIND_LIST)
			d->segment[i].trees += lists * ISOMER_BLOCK_WORDS;
	return 0;
}

static void fill_header(const struct domain *d, struct isomer_index_ports *ports)
{
	memset(ports->last, 0xff, sizeof(ports->last));
	for (size_t i = 0; i < d->n_segments; i++) {
		ports->trees[i] = d->segment[i].trees;
		if (i < ISOMER_HEADER_SEGMENTS - 1)
			ports->last[i] = d->segment[i].last;
	}
}

int domain_end(struct domain *d, struct isomer_index_ports *ret_ports)
{
	CLEANUP(tree_writer_done) struct tree_writer w = { 0 };
	int r;

	r = write_lists(d);
	if (r < 0)
		return r;
	join_segments(d);
	if (d->n_segments <= ISOMER_HEADER_SEGMENTS) {
		fill_header(d, ret_ports);
		return 0;
	}
	r = tree_begin(&w, d->blocks, d->n_segments + 1);
	for (size_t i = 0; i < d->n_segments && r == 0; i++)
		r = tree_segment(&w, d->segment[i].last, d->segment[i].trees);
	if (r == 0)
		r = tree_segment(&w, UINT32_MAX, 0);
	return r < 0 ? r : tree_end(&w, NULL, ISOMER_KIND_PORT, &ret_ports->tree);
}
