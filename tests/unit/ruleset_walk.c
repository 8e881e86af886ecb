/* SPDX-License-Identifier: BSD-3-Clause */
#include "unit/ruleset_walk.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "state/cleanup.h"

static const struct isomer_block *block_at(const struct ruleset *rs, uint32_t i)
{
	assert_true(i > 0 && i < rs->n_blocks);
	return &rs->blocks[i];
}

/* How many separators are less than @key. */
static unsigned int place_in(const uint32_t *word, unsigned int separators, uint32_t key)
{
	unsigned int place = 0;

	for (unsigned int i = 0; i < separators; i++) {
		if (word[i] >= key)
			continue;
		assert_int_equal(place, i); /* ascending, or the search goes astray */
		place++;
	}
	return place;
}

static uint32_t search_tree(const struct ruleset *rs, uint32_t tree, uint32_t key)
{
	uint32_t at = ISOMER_REF_AT(tree);
	const struct isomer_line *leaf;

	assert_in_range(ISOMER_REF_N(tree), 0, ISOMER_LEVELS_MAX);
	for (unsigned int level = ISOMER_REF_N(tree); level > 0; level--) {
		const struct isomer_block *node = block_at(rs, at);

		at = node->word[ISOMER_FIRST_CHILD] + place_in(node->word, ISOMER_INNER, key);
	}
	leaf = (const struct isomer_line *)block_at(rs, at / 2) + at % 2;
	return leaf->word[ISOMER_VALUES + place_in(leaf->word, ISOMER_LEAF, key)];
}

unsigned int ruleset_walk_tables;

static uint32_t read_table(const struct ruleset *rs, uint32_t ref, uint32_t key)
{
	uint32_t i = key << ISOMER_TABLE_FIXED(ref) >> (32 - ISOMER_TABLE_BITS(ref));

	ruleset_walk_tables++;
	return block_at(rs, ISOMER_TABLE_BLOCK(ref) + i / ISOMER_BLOCK_WORDS)
		->word[i % ISOMER_BLOCK_WORDS];
}

static uint32_t prefix_test(const struct ruleset *rs, uint32_t ref, const struct model_lookup *l)
{
	const void *block = block_at(rs, ISOMER_REF_AT(ref));
	const struct isomer_prefix_test *t = block;
	uint64_t hi = 0, lo = 0;

	t += ISOMER_REF_N(ref);
	for (int i = 0; i < 8; i++) {
		hi = hi << 8 | l->addr[i];
		lo = lo << 8 | l->addr[8 + i];
	}
	assert_in_range(ISOMER_REF_N(ref), 0, ISOMER_PREFIX_TESTS - 1);
	return (hi ^ t->hi) >> t->shift_hi || (lo ^ t->lo) >> t->shift_lo >> t->shift_lo_again
		       ? t->out
		       : t->in;
}

static uint32_t port_test(const struct ruleset *rs, uint32_t ref, uint16_t port)
{
	const void *block = block_at(rs, ISOMER_REF_AT(ref));
	const struct isomer_port_test *t = block;

	t += ISOMER_REF_N(ref);
	return port >= t->first && port <= t->last ? t->in : t->out;
}

/* Follows @value through the address; the steps have an order. */
static uint32_t search_address(const struct ruleset *rs, uint32_t value,
			       const struct model_lookup *l)
{
	unsigned int words = l->domain == AF_INET6 ? 4 : 1;

	for (unsigned int w = 0; w <= words; w++) {
		const uint8_t *a = &l->addr[4 * w];
		uint32_t key = 0;

		if (w < words)
			key = (uint32_t)a[0] << 24 | a[1] << 16 | a[2] << 8 | a[3];
		if (ISOMER_REF_KIND(value) == ISOMER_KIND_PREFIX_TEST && (w < words || words > 1))
			value = prefix_test(rs, value, l);
		if (w < words && ISOMER_REF_KIND(value) == ISOMER_KIND_TABLE + w)
			value = read_table(rs, value, key);
		if (w < words && ISOMER_REF_KIND(value) == ISOMER_KIND_WORD + w)
			value = search_tree(rs, value, key);
	}
	return value;
}

static uint32_t search_port(const struct ruleset *rs, uint32_t value, uint16_t port)
{
	for (int n = 0; ISOMER_REF_KIND(value) == ISOMER_KIND_PORT_TEST; n++) {
		assert_in_range(n, 0, ISOMER_PORT_CHAIN_MAX - 1);
		value = port_test(rs, value, port);
	}
	if (ISOMER_REF_KIND(value) == ISOMER_KIND_PORT)
		return search_tree(rs, value, port);
	return value;
}

/* What @port leads to. */
static uint32_t search_ports(const struct ruleset *rs, const struct isomer_index_ports *ports,
			     uint32_t port)
{
	unsigned int place = 0;

	if (ports->tree)
		return search_tree(rs, ports->tree, port);
	for (unsigned int i = 0; i < ISOMER_HEADER_SEGMENTS - 1; i++)
		place += ports->last[i] < port;
	return ports->trees[place];
}

uint32_t ruleset_walk(const struct ruleset *rs, const struct model_lookup *l,
		      unsigned int *ret_trees)
{
	const struct isomer_index_header *header = (const void *)rs->blocks;
	uint32_t port = ISOMER_PORT_KEY(l->protocol == IPPROTO_UDP, l->port);
	uint32_t trees = search_ports(rs, &header->ports[l->domain == AF_INET6], port), best = 0;
	const uint32_t *list = &trees;
	unsigned int n = trees != 0;

	if (ISOMER_REF_KIND(trees) == ISOMER_KIND_LIST) {
		uint32_t word = ISOMER_LIST_WORD(trees);

		list = &block_at(rs, word / ISOMER_BLOCK_WORDS)->word[word % ISOMER_BLOCK_WORDS];
		n = *list++;
		assert_in_range(n, 2, ISOMER_TREES_MAX);
		assert_in_range(word % ISOMER_BLOCK_WORDS + n, 0, ISOMER_BLOCK_WORDS - 1);
	}
	for (unsigned int i = 0; i < n; i++) {
		uint32_t value = search_address(rs, list[i], l);

		if (ISOMER_VERDICT_RANK(value) > ISOMER_VERDICT_RANK(best))
			best = value;
	}
	if (ret_trees)
		*ret_trees = n;
	best = search_port(rs, best, l->port);
	assert_in_range(ISOMER_VERDICT_RANK(best), 0, 129); /* no reference is left */
	return best;
}

void ruleset_check_compile(const struct isomer_binding *bindings, size_t n, struct ruleset *ret)
{
	const struct isomer_index_header *header;

	assert_int_equal(ruleset_compile(bindings, n, ret), 0);
	header = (const void *)ret->blocks;
	assert_int_equal(header->magic, ISOMER_MAGIC);
	assert_int_equal(header->schema, ISOMER_SCHEMA);
	assert_int_equal(header->list, 0);
	assert_int_equal(header->bindings, n);
	assert_int_equal(header->blocks, ret->n_blocks);
}

void ruleset_check(const struct ruleset *rs, const struct isomer_binding *bindings, size_t n,
		   const struct model_lookup *l)
{
	struct model_answer answer = model_search(bindings, n, l);
	uint32_t verdict = ruleset_walk(rs, l, NULL);

	if (!answer.winner) {
		assert_int_equal(verdict, 0);
		return;
	}
	assert_int_equal(verdict, ISOMER_VERDICT(answer.winner->destination, answer.winner->miss,
						 answer.winner->prefixlen));
}

struct isomer_binding binding_ipv4(uint32_t addr, uint8_t length, uint16_t first, uint16_t last,
				   uint32_t destination)
{
	struct isomer_binding b = {
		.domain = AF_INET,
		.protocol = IPPROTO_TCP,
		.prefixlen = length,
		.port_first = first,
		.port_last = last,
		.destination = destination,
	};

	addr = htonl(addr);
	memcpy(b.addr, &addr, sizeof(addr));
	return b;
}

struct isomer_binding binding_ipv6(uint64_t hi, uint64_t lo, uint8_t length, uint16_t first,
				   uint16_t last, uint32_t destination)
{
	struct isomer_binding b = binding_ipv4(0, length, first, last, destination);

	b.domain = AF_INET6;
	for (int i = 0; i < 8; i++) {
		b.addr[i] = hi >> (56 - 8 * i);
		b.addr[8 + i] = lo >> (56 - 8 * i);
	}
	return b;
}

struct isomer_binding *bindings_array(size_t n)
{
	struct isomer_binding *b = calloc(n, sizeof(*b));

	assert_non_null(b);
	return b;
}

size_t ruleset_check_set(const struct isomer_binding *bindings, size_t n, unsigned int n_lookups,
			 unsigned int *ret_most_trees)
{
	CLEANUP(ruleset_done) struct ruleset rs = { 0 };
	struct model_random random = { n };
	unsigned int most = 0;

	ruleset_check_compile(bindings, n, &rs);
	for (unsigned int i = 0; i < n_lookups; i++) {
		struct model_lookup l = model_lookup_near(&random, bindings, n);
		unsigned int trees;

		ruleset_check(&rs, bindings, n, &l);
		ruleset_walk(&rs, &l, &trees);
		most = trees > most ? trees : most;
	}
	if (ret_most_trees)
		*ret_most_trees = most;
	return rs.n_blocks;
}
