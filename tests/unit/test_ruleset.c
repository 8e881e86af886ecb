/* SPDX-License-Identifier: BSD-3-Clause */
/* The compiler of rulesets against the model: the index is walked as the BPF program walks it. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "loader/ruleset.h"
#include "state/cleanup.h"
#include "support/ruleset_model.h"

#define ALL_PORTS 0, 65535

static const struct isomer_block *block_at(const struct ruleset *rs, uint32_t i)
{
	assert_true(i > 0 && i < rs->n_blocks);
	return &rs->blocks[i];
}

/* How many separators are less than @key. */
static unsigned int place_in(const struct isomer_block *b, unsigned int separators, uint32_t key)
{
	unsigned int place = 0;

	for (unsigned int i = 0; i < separators; i++) {
		if (b->word[i] >= key)
			continue;
		assert_int_equal(place, i); /* ascending, or the search goes astray */
		place++;
	}
	return place;
}

static uint32_t search_tree(const struct ruleset *rs, uint32_t tree, uint32_t key)
{
	const struct isomer_block *b;
	uint32_t at = ISOMER_REF_BLOCK(tree);

	assert_in_range(ISOMER_REF_N(tree), 0, ISOMER_LEVELS_MAX);
	for (unsigned int level = ISOMER_REF_N(tree); level > 0; level--) {
		b = block_at(rs, at);
		at = b->word[ISOMER_FIRST_CHILD] + place_in(b, ISOMER_INNER, key);
	}
	b = block_at(rs, at);
	return b->word[ISOMER_VALUES + place_in(b, ISOMER_LEAF, key)];
}

static unsigned int tables_read;

static uint32_t read_table(const struct ruleset *rs, uint32_t ref, uint32_t key)
{
	uint32_t i = key << ISOMER_TABLE_FIXED(ref) >> (32 - ISOMER_TABLE_BITS(ref));

	tables_read++;
	return block_at(rs, ISOMER_TABLE_BLOCK(ref) + i / ISOMER_BLOCK_WORDS)
		->word[i % ISOMER_BLOCK_WORDS];
}

static uint32_t prefix_test(const struct ruleset *rs, uint32_t ref, const struct model_lookup *l)
{
	const void *block = block_at(rs, ISOMER_REF_BLOCK(ref));
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
	const void *block = block_at(rs, ISOMER_REF_BLOCK(ref));
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
		if (w < words && ISOMER_REF_KIND(value) == ISOMER_KIND_TABLE &&
		    ISOMER_TABLE_WORD(value) == w)
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

/* The verdict on @l; @ret_trees (may be NULL): what had to be searched. */
static uint32_t search(const struct ruleset *rs, const struct model_lookup *l,
		       unsigned int *ret_trees)
{
	const struct isomer_index_header *header = (const void *)rs->blocks;
	uint32_t port = ISOMER_PORT_KEY(l->protocol == IPPROTO_UDP, l->port);
	uint32_t trees = search_ports(rs, &header->ports[l->domain == AF_INET6], port), best = 0;
	uint32_t word = ISOMER_TREES_WORD(trees);
	unsigned int n = 0;

	for (bool more = trees; more; n++, word++) {
		uint32_t tree = trees & ~(uint32_t)ISOMER_TREES_MORE, value;

		assert_in_range(n, 0, ISOMER_TREES_MAX - 1);
		if (ISOMER_TREES_IS_LIST(trees))
			tree = block_at(rs, word / ISOMER_BLOCK_WORDS)
				       ->word[word % ISOMER_BLOCK_WORDS];
		more = tree & ISOMER_TREES_MORE;
		assert_true(!more || (word + 1) % ISOMER_BLOCK_WORDS != 0);
		value = search_address(rs, tree | ISOMER_TREES_MORE, l);
		if (ISOMER_VERDICT_RANK(value) > ISOMER_VERDICT_RANK(best))
			best = value;
	}
	if (ret_trees)
		*ret_trees = n;
	best = search_port(rs, best, l->port);
	assert_in_range(ISOMER_VERDICT_RANK(best), 0, 129); /* no reference is left */
	return best;
}

static void compile(const struct isomer_binding *bindings, size_t n, struct ruleset *ret)
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

static void check(const struct ruleset *rs, const struct isomer_binding *bindings, size_t n,
		  const struct model_lookup *l)
{
	struct model_answer answer = model_search(bindings, n, l);
	uint32_t verdict = search(rs, l, NULL);

	if (!answer.winner) {
		assert_int_equal(verdict, 0);
		return;
	}
	assert_int_equal(verdict, ISOMER_VERDICT(answer.winner->destination, answer.winner->miss,
						 answer.winner->prefixlen));
}

static struct isomer_binding ipv4(uint32_t addr, uint8_t length, uint16_t first, uint16_t last,
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

static struct isomer_binding ipv6(uint64_t hi, uint64_t lo, uint8_t length, uint16_t first,
				  uint16_t last, uint32_t destination)
{
	struct isomer_binding b = ipv4(0, length, first, last, destination);

	b.domain = AF_INET6;
	for (int i = 0; i < 8; i++) {
		b.addr[i] = hi >> (56 - 8 * i);
		b.addr[8 + i] = lo >> (56 - 8 * i);
	}
	return b;
}

static struct isomer_binding *array(size_t n)
{
	struct isomer_binding *b = calloc(n, sizeof(*b));

	assert_non_null(b);
	return b;
}

/* Compiles, checks @n_lookups lookups, and gives back the size in blocks. */
static size_t check_set(const struct isomer_binding *bindings, size_t n, unsigned int n_lookups,
			unsigned int *ret_most_trees)
{
	CLEANUP(ruleset_done) struct ruleset rs = { 0 };
	struct model_random random = { n };
	unsigned int most = 0;

	compile(bindings, n, &rs);
	for (unsigned int i = 0; i < n_lookups; i++) {
		struct model_lookup l = model_lookup_near(&random, bindings, n);
		unsigned int trees;

		check(&rs, bindings, n, &l);
		search(&rs, &l, &trees);
		most = trees > most ? trees : most;
	}
	if (ret_most_trees)
		*ret_most_trees = most;
	return rs.n_blocks;
}

static void no_binding_matches_nothing(void **state)
{
	CLEANUP(ruleset_done) struct ruleset rs = { 0 };
	struct model_lookup l = { AF_INET, IPPROTO_TCP, 80, { 0 } };

	(void)state;
	compile(NULL, 0, &rs);
	assert_int_equal(rs.n_blocks, 1);
	assert_int_equal(search(&rs, &l, NULL), 0);
}

static void one_binding_needs_one_node(void **state)
{
	struct isomer_binding b = ipv4(0x7f000001, 32, 80, 80, 5);
	CLEANUP(ruleset_done) struct ruleset rs = { 0 };
	struct model_lookup l = { AF_INET, IPPROTO_TCP, 80, { 127, 0, 0, 1 } };

	(void)state;
	b.miss = ISOMER_MISS_PASS;
	compile(&b, 1, &rs);
	assert_int_equal(rs.n_blocks, 2); /* header with the ports, addresses */
	assert_int_equal(search(&rs, &l, NULL), ISOMER_VERDICT(5, 1, 32));
	l.protocol = IPPROTO_UDP;
	assert_int_equal(search(&rs, &l, NULL), 0);
	l.domain = AF_INET6;
	l.protocol = IPPROTO_TCP;
	assert_int_equal(search(&rs, &l, NULL), 0);
}

static void random_sets_agree_with_the_model(void **state)
{
	struct model_random random = model_random_make(20240229);
	CLEANUP_FREE struct isomer_binding *bindings = array(2000);

	(void)state;
	for (int set = 0; set < 300; set++) {
		CLEANUP(ruleset_done) struct ruleset rs = { 0 };
		struct model_field field;
		size_t n = 1 + model_random(&random, set % 3 ? 60 : 2000);

		model_field_make(&random, &field);
		n = model_bindings(&random, &field, bindings, n);
		for (size_t i = 0; i < n; i++)
			bindings[i].miss = model_random(&random, 2);
		compile(bindings, n, &rs);
		for (int i = 0; i < 200; i++) {
			struct model_lookup l = model_lookup_near(&random, bindings, n);

			check(&rs, bindings, n, &l);
		}
	}
}

/* Many ports, so that nothing is small enough to be pushed everywhere. */
static void scattered_sets_agree_with_the_model(void **state)
{
	struct model_random random = model_random_make(4);
	CLEANUP_FREE struct isomer_binding *b = array(20000);

	(void)state;
	for (int set = 0; set < 4; set++) {
		size_t n = 5000 << set / 2;

		for (size_t i = 0; i < n; i++) {
			uint32_t addr = (i % 50) << 24 | (i / 50);
			uint32_t first = 1 + model_random(&random, 65535), width;

			width = model_random(&random, set % 2 ? 65536 - first : 4);
			if (first + width > 65535)
				width = 65535 - first;
			b[i] = set & 1 ? ipv4(addr, 32, first, first + width, i)
				       : ipv6(addr, i, 128, first, first + width, i);
			if (i % 7 == 0)
				b[i] = ipv4(i << 16, 16, ALL_PORTS, i);
			if (i % 7 == 1)
				b[i] = ipv6((uint64_t)i << 32, 0, 64, ALL_PORTS, i);
		}
		check_set(b, n, 2000, NULL);
	}
}

/* Bindings of few prefixes among many others, so that they meet in several trees. */
static void lists_of_trees_agree_with_the_model(void **state)
{
	struct model_random random = model_random_make(5);
	CLEANUP_FREE struct isomer_binding *b = array(22000);
	unsigned int most = 0;

	(void)state;
	for (int set = 0; set < 5; set++) {
		CLEANUP(ruleset_done) struct ruleset rs = { 0 };
		struct model_field field;
		size_t n;

		model_field_make(&random, &field);
		n = model_bindings(&random, &field, b, 2000);
		model_ballast(b + n, 10000, AF_INET, 0);
		model_ballast(b + n + 10000, 10000, AF_INET6, 0);
		compile(b, n + 20000, &rs);
		for (int i = 0; i < 500; i++) {
			struct model_lookup l = model_lookup_near(&random, b, n);
			unsigned int trees;

			check(&rs, b, n + 20000, &l);
			search(&rs, &l, &trees);
			most = trees > most ? trees : most;
		}
	}
	printf("up to %u trees\n", most);
	assert_in_range(most, 8, ISOMER_TREES_MAX);
}

/* Groups of hosts that differ from one word of the address on, between others that do so from the
 * first: what is common to a group is skipped, and small groups are told apart by tests. */
static void groups_of_hosts_agree_with_the_model(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = array(1500);
	struct model_random random = model_random_make(6);

	(void)state;
	for (unsigned int word = 0; word < 4; word++)
		for (size_t size = 1; size < 7; size++) {
			for (size_t i = 0; i < 1500; i++) {
				uint64_t group = i / size * 0x9e3779b97f4a7c15, hi, lo;
				uint32_t own = model_random(&random, UINT32_MAX);

				hi = word < 2 ? own : group;
				lo = (word < 3 ? (uint64_t)own << 32 : 0) | i;
				if (word > 0)
					hi = (hi & UINT32_MAX) | group >> 32 << 32;
				else
					hi |= (uint64_t)own << 32;
				b[i] = ipv6(hi, lo, 128, 80, 80, i);
				if (i % 5 == 0 && word < 3)
					b[i] = ipv6(hi, lo & ~UINT64_C(0xffff), 112, 80, 80, i);
			}
			check_set(b, 1500, 500, NULL);
		}
}

/* Hosts enough for a table, in all of the space and in a small part of it. */
static void tables_agree_with_the_model(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = array(20000);
	static const unsigned int spaces[] = { 32, 24, 16 };

	(void)state;
	for (size_t space = 0; space < sizeof(spaces) / sizeof(*spaces); space++)
		for (int wide = 0; wide < 2; wide++) {
			uint32_t mask = UINT32_MAX >> (32 - spaces[space]);

			for (uint32_t i = 0; i < 20000; i++) {
				uint32_t addr = 0x0a000000 ^ (i * 0x9e3779b1 & mask);

				b[i] = wide ? ipv6(0x20010db800000000, addr, 128, 80, 80, i)
					    : ipv4(addr, 32, 80, 80, i);
				if (i % 3 == 0 && addr % 4 == 0)
					b[i].prefixlen -= 2;
			}
			tables_read = 0;
			check_set(b, spaces[space] == 16 ? 15000 : 20000, 100, NULL);
			assert_int_equal(tables_read != 0, spaces[space] > 16 || wide);
		}
}

static void narrow_range_near_the_root_beats_wide_range_near_the_leaf(void **state)
{
	/* With these borders [4, 7] is one inner node, and the end of [1, 5] is a node below it. */
	struct isomer_binding b[] = {
		ipv4(0x0a000000, 8, 4, 7, 0), ipv4(0x0a000000, 8, 1, 5, 1),
		ipv4(0x0b000000, 8, 2, 2, 2), ipv4(0x0b000000, 8, 3, 3, 3),
		ipv4(0x0b000000, 8, 6, 6, 4), ipv4(0x0a000000, 8, ALL_PORTS, 5),
	};
	const size_t n = sizeof(b) / sizeof(b[0]);
	CLEANUP(ruleset_done) struct ruleset rs = { 0 };

	(void)state;
	compile(b, n, &rs);
	for (uint16_t port = 0; port < 10; port++) {
		struct model_lookup l = { AF_INET, IPPROTO_TCP, port, { 10, 1 } };

		check(&rs, b, n, &l);
	}
}

static void small_sets_need_one_tree_for_a_lookup(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = array(400);
	unsigned int trees;
	size_t n = 0;

	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		b[n++] = ipv4(0x0a000000 + i, 32, 80, 80, i);
		b[n++] = ipv4(0x0a000000 + i, 32, 443, 443, i);
		b[n++] = ipv4(0x0a000000 + (i << 16), 16, 1000 + i % 5, 2000, i);
		b[n++] = ipv4(0x0b000000 + (i << 8), 24, ALL_PORTS, i);
	}
	check_set(b, n, 2000, &trees);
	assert_int_equal(trees, 1);
}

static void neighbours_with_one_destination_are_one_segment(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = array(1000);

	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		b[i] = ipv4(i << 8, 24, 80, 80, 1);
	assert_int_equal(check_set(b, 1000, 1000, NULL), 2);
}

/* The leaves of both trees are the same: only the node above knows where the first one ends. */
static void trees_that_differ_between_leaves_are_not_shared(void **state)
{
	CLEANUP(ruleset_done) struct ruleset rs = { 0 };
	struct isomer_binding b[64];
	struct model_lookup l = { AF_INET, IPPROTO_TCP, 0, { 20, 0, 1 } };
	size_t n = 0;

	(void)state;
	for (uint16_t port = 80; port <= 82; port += 2) {
		for (uint32_t i = 0; i < 7; i++) /* a gap and a host: two segments */
			b[n++] = ipv4(0x0a000000 + 2 * i, 32, port, port, i);
		/* The eighth gap is the last but one of the leaf. */
		b[n++] = ipv4(0x14000000, 24, port, port, 9);
		if (port == 82)
			b[n++] = ipv4(0x14000100, 24, port, port, 9);
	}
	compile(b, n, &rs);
	for (l.port = 79; l.port <= 83; l.port++)
		check(&rs, b, n, &l);
}

static void index_of_host_bindings_is_lean(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = array(ISOMER_BINDINGS_MAX);
	size_t blocks;

	(void)state;
	for (uint32_t i = 0; i < ISOMER_BINDINGS_MAX; i++)
		b[i] = ipv4(i * 4001, 32, 80, 80, i); /* odd: all different */
	blocks = check_set(b, ISOMER_BINDINGS_MAX, 100, NULL);
	printf("1,000,000 IPv4 hosts: %zu blocks\n", blocks);
	assert_in_range(blocks, 1, (24 << 20) / sizeof(struct isomer_block));
	for (uint32_t i = 0; i < ISOMER_BINDINGS_MAX; i++)
		b[i] = ipv6(0x20010db800000000, (uint64_t)i * 0x9e3779b97f4a7c15, 128, 80, 80, i);
	blocks = check_set(b, ISOMER_BINDINGS_MAX, 100, NULL);
	printf("1,000,000 IPv6 hosts: %zu blocks\n", blocks);
	assert_in_range(blocks, 1, (64 << 20) / sizeof(struct isomer_block));
}

/* The worst that there is for tests and small trees: hosts in groups that share a word. */
static void index_of_groups_is_lean(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = array(20000);
	size_t most = 0;

	(void)state;
	for (size_t size = 1; size <= 6; size++) {
		size_t blocks;

		for (size_t i = 0; i < 20000; i++)
			b[i] = ipv6(i / size * 0x9e3779b1 << 32 | i * 0x85ebca6b % 0xffffffff,
				    i * 0x9e3779b97f4a7c15, 128, 80, 80, i);
		blocks = check_set(b, 20000, 100, NULL);
		most = blocks > most ? blocks : most;
	}
	printf("20,000 IPv6 hosts in groups: up to %zu blocks\n", most);
	assert_in_range(most, 1, (72 << 20) / 50 / sizeof(struct isomer_block));
}

/* What the ports of one prefix lead to is not repeated for each of many prefixes in it. */
static void ranges_around_many_hosts_are_lean(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = array(6000);
	unsigned int trees;
	size_t blocks;

	(void)state;
	for (uint32_t i = 0; i < 6000; i++)
		b[i] = i % 30 == 0 ? ipv4(0, 0, 10 * i + 1, 10 * i + 5, i)
				   : ipv4(i * 0x9e3779b1, 32, 10 * i + 1, 10 * i + 5, i);
	blocks = check_set(b, 6000, 1000, &trees);
	printf("200 ranges around 5,800 hosts: %zu blocks, %u trees\n", blocks, trees);
	assert_in_range(blocks, 1, 8000);
}

static void ranges_over_one_port_are_lean(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = array(10000);
	unsigned int trees;
	size_t blocks;

	(void)state;
	for (uint32_t i = 0; i < 10000; i++)
		b[i] = ipv4(0, 0, 30000 - i, 30000 + i * 2, i);
	blocks = check_set(b, 10000, 1000, &trees);
	printf("10,000 ranges over a port, one prefix: %zu blocks, %u trees\n", blocks, trees);
	assert_in_range(blocks, 1, 30000);
	assert_int_equal(trees, 1);
	for (uint32_t i = 0; i < 10000; i++)
		b[i] = ipv4(i << 16 | i, 32, 30000 - i, 30000 + i * 2, i);
	blocks = check_set(b, 10000, 1000, &trees);
	printf("10,000 ranges over a port: %zu blocks, %u trees\n", blocks, trees);
	assert_in_range(blocks, 1, 80000);
}

static void nested_prefixes_are_lean(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = array(1000);
	size_t blocks, n = 0;

	(void)state;
	for (uint32_t i = 0; n < 1000; i++)
		for (int length = 128; length >= 0 && n < 1000; length--) {
			uint64_t hi = length < 64
					      ? ~(length ? ~UINT64_C(0) >> length : ~UINT64_C(0))
					      : ~UINT64_C(0);
			uint64_t lo = length <= 64    ? 0
				      : length == 128 ? ~UINT64_C(0)
						      : ~(~UINT64_C(0) >> (length - 64));

			b[n] = ipv6(hi, lo, length, 80 + i, 90 + i, n);
			n++;
		}
	blocks = check_set(b, n, 2000, NULL);
	printf("1,000 nested prefixes: %zu blocks\n", blocks);
	assert_in_range(blocks, 1, 2000);
}

static void every_port_and_all_ports_are_lean(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = array(65536);
	unsigned int trees;
	size_t blocks;

	(void)state;
	b[0] = ipv4(0, 0, ALL_PORTS, 0);
	for (uint32_t port = 1; port < 65536; port++)
		b[port] = ipv4(port << 8, 24, port, port, port);
	blocks = check_set(b, 65536, 1000, &trees);
	printf("65,535 ports and all ports: %zu blocks, %u trees\n", blocks, trees);
	assert_in_range(blocks, 1, 75000);
	/* The same everywhere: the trees are shared. */
	for (uint32_t port = 1; port < 65536; port++)
		b[port] = ipv4(0x0a000000, 8, port, port, port % 2);
	blocks = check_set(b, 65536, 1000, &trees);
	printf("65,535 ports to two destinations: %zu blocks, %u trees\n", blocks, trees);
	assert_in_range(blocks, 1, 5000);
}

static void order_of_bindings_does_not_matter(void **state)
{
	struct model_random random = model_random_make(7);
	CLEANUP_FREE struct isomer_binding *b = array(3000);
	struct model_field field;
	size_t n;

	(void)state;
	for (int set = 0; set < 10; set++) {
		CLEANUP(ruleset_done) struct ruleset first = { 0 };
		CLEANUP(ruleset_done) struct ruleset second = { 0 };

		model_field_make(&random, &field);
		n = model_bindings(&random, &field, b, 3000);
		compile(b, n, &first);
		for (size_t i = n - 1; i > 0; i--) {
			size_t j = model_random(&random, i + 1);
			struct isomer_binding swap = b[i];

			b[i] = b[j];
			b[j] = swap;
		}
		compile(b, n, &second);
		assert_int_equal(first.n_blocks, second.n_blocks);
		assert_memory_equal(first.blocks, second.blocks,
				    first.n_blocks * sizeof(*first.blocks));
	}
}

static void assert_refused(const struct isomer_binding *b, size_t n, int error)
{
	struct isomer_block mark;
	struct ruleset rs = { &mark, 17 };

	assert_int_equal(ruleset_compile(b, n, &rs), error);
	assert_ptr_equal(rs.blocks, &mark);
	assert_int_equal(rs.n_blocks, 17);
}

static void invalid_bindings_leave_the_output_alone(void **state)
{
	struct isomer_binding good = ipv4(0x0a000000, 8, 80, 90, 1), two[2], b;

	(void)state;
#define REFUSED(change)                                                                            \
	do {                                                                                       \
		b = good;                                                                          \
		change;                                                                            \
		assert_refused(&b, 1, -EINVAL);                                                    \
	} while (0)
	REFUSED(b.domain = AF_UNIX);
	REFUSED(b.domain = 0);
	REFUSED(b.protocol = IPPROTO_SCTP);
	REFUSED(b.prefixlen = 33);
	REFUSED(b.prefixlen = 6);
	REFUSED(b.addr[1] = 0x80);
	REFUSED(b.addr[3] = 0x01);
	REFUSED(b.addr[4] = 0x80);
	REFUSED(b.addr[15] = 0x01);
	REFUSED(b.miss = 2);
	REFUSED(b.port_first = 91);
	REFUSED(b.port_first = 0);
	REFUSED(b.port_first = b.port_last = 0);
	REFUSED(b.destination = ISOMER_DESTINATIONS_MAX);
	REFUSED(b = ipv6(1, 0, 63, 80, 80, 0));
	REFUSED(b = ipv6(1, 0, 129, 80, 80, 0));
#undef REFUSED
	two[0] = two[1] = good;
	two[1].destination = 2;
	two[1].miss = ISOMER_MISS_PASS;
	assert_refused(two, 2, -EINVAL);
}

static void too_many_bindings_are_refused(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = array(ISOMER_BINDINGS_MAX + 1);

	(void)state;
	assert_refused(b, ISOMER_BINDINGS_MAX + 1, -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_binding_matches_nothing),
		cmocka_unit_test(one_binding_needs_one_node),
		cmocka_unit_test(random_sets_agree_with_the_model),
		cmocka_unit_test(scattered_sets_agree_with_the_model),
		cmocka_unit_test(lists_of_trees_agree_with_the_model),
		cmocka_unit_test(groups_of_hosts_agree_with_the_model),
		cmocka_unit_test(tables_agree_with_the_model),
		cmocka_unit_test(narrow_range_near_the_root_beats_wide_range_near_the_leaf),
		cmocka_unit_test(small_sets_need_one_tree_for_a_lookup),
		cmocka_unit_test(neighbours_with_one_destination_are_one_segment),
		cmocka_unit_test(trees_that_differ_between_leaves_are_not_shared),
		cmocka_unit_test(index_of_host_bindings_is_lean),
		cmocka_unit_test(index_of_groups_is_lean),
		cmocka_unit_test(ranges_around_many_hosts_are_lean),
		cmocka_unit_test(ranges_over_one_port_are_lean),
		cmocka_unit_test(nested_prefixes_are_lean),
		cmocka_unit_test(every_port_and_all_ports_are_lean),
		cmocka_unit_test(order_of_bindings_does_not_matter),
		cmocka_unit_test(invalid_bindings_leave_the_output_alone),
		cmocka_unit_test(too_many_bindings_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
