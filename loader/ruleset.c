/* SPDX-License-Identifier: BSD-3-Clause */
/* The way from bindings to an index, for each domain and protocol:
 *   ruleset_rules       sorts them by prefix;
 *   ruleset_ports       distributes them over the nodes of a segment tree of ports;
 *   ruleset_place       makes an address tree of each node, or pushes a node's rules into the trees
 *                       below it, and notes which ports lead to which trees; or has
 *   ruleset_by_address  make one address tree of all, and of each prefix what its ports lead to;
 *   ruleset_addresses   cuts the addresses by nested prefixes, and makes a tree of each word;
 *   ruleset_word        writes a tree with ruleset_tree, or a table of trees;
 *   ruleset_tests       writes tests;
 *   ruleset_domain      collects the ports of both protocols, which share one port tree.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "loader/ruleset.h"
#include "loader/ruleset_domain.h"
#include "loader/ruleset_place.h"
#include "loader/ruleset_ports.h"
#include "loader/ruleset_rules.h"
#include "state/cleanup.h"

/* What tables may add to trees, beyond their share: 2 MiB for each protocol of a domain, and some
 * bytes a rule. */
#define TABLES_MIN    (2 << 20)
#define TABLES_NARROW 2
#define TABLES_WIDE   16

/* In lines. An index that has room in one page is best left there. */
static uint64_t room_for_tables(const struct blocks *blocks, const struct rules *rules)
{
	uint64_t taken = blocks->n + rules_blocks(rules, rules->n + rules->n / 2);
	uint64_t bytes = TABLES_MIN + rules->n * (rules->wide ? TABLES_WIDE : TABLES_NARROW);

	if (taken < ISOMER_PAGE_BLOCKS)
		bytes = (ISOMER_PAGE_BLOCKS - taken) * sizeof(struct isomer_block);
	return bytes / sizeof(struct isomer_line);
}

static bool binding_is_valid(const struct isomer_binding *b)
{
	unsigned int bits = b->domain == AF_INET ? 32 : 128;

	if (b->domain != AF_INET && b->domain != AF_INET6)
		return false;
	if (b->protocol != IPPROTO_TCP && b->protocol != IPPROTO_UDP)
		return false;
	if (b->miss != ISOMER_MISS_DROP && b->miss != ISOMER_MISS_PASS)
		return false;
	if (b->destination >= ISOMER_DESTINATIONS_MAX || b->prefixlen > bits)
		return false;
	if (b->port_first == 0 ? b->port_last != UINT16_MAX : b->port_first > b->port_last)
		return false;
	for (unsigned int bit = b->prefixlen; bit < 128; bit++) {
		if (bit % 8 == 0 && b->addr[bit / 8] == 0)
			bit += 7;
		else if (b->addr[bit / 8] >> (7 - bit % 8) & 1)
			return false;
	}
	return true;
}

static int compile_domain(const struct isomer_binding *bindings, size_t n, uint8_t domain,
			  struct blocks *blocks, struct isomer_index_ports *ret_ports)
{
	CLEANUP(domain_done) struct domain d = { .blocks = blocks };
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
	size_t n_rules = 0;
	int r;

	for (int i = 0; i < 2; i++) {
		CLEANUP(rules_done) struct rules rules = { 0 };

		r = rules_make(bindings, n, domain, protocols[i], &rules);
		if (r < 0)
			return r;
		d.table_lines = room_for_tables(blocks, &rules);
		r = rules_place(&rules, i, &d);
		if (r < 0)
			return r;
		n_rules += rules.n;
	}
	return n_rules > 0 ? domain_end(&d, ret_ports) : 0;
}

int ruleset_compile(const struct isomer_binding *bindings, size_t n, struct ruleset *ret)
{
	CLEANUP(blocks_done) struct blocks blocks = { 0 };
	struct isomer_index_header header = { ISOMER_MAGIC, ISOMER_SCHEMA, .place = ISOMER_PLACES };
	struct ruleset rs;
	uint32_t first;
	int r;

	if (n > ISOMER_BINDINGS_MAX)
		return -E2BIG;
	for (size_t i = 0; i < n; i++)
		if (!binding_is_valid(&bindings[i]))
			return -EINVAL;
	r = blocks_add(&blocks, 1, &first);
	if (r < 0)
		return r;
	r = compile_domain(bindings, n, AF_INET, &blocks, &header.ports[0]);
	if (r < 0)
		return r;
	r = compile_domain(bindings, n, AF_INET6, &blocks, &header.ports[1]);
	if (r < 0)
		return r;
	if (blocks.n > ISOMER_BLOCKS_MAX)
		return -E2BIG;
	header.bindings = n;
	header.blocks = blocks.n;
	memcpy(&blocks.block[0], &header, sizeof(header));
	rs.n_blocks = blocks.n;
	r = blocks_add(&blocks, ruleset_pages(&rs) * ISOMER_PAGE_BLOCKS - blocks.n, &first);
	if (r < 0)
		return r;
	rs.blocks = realloc(blocks.block, blocks.n * sizeof(*blocks.block));
	if (!rs.blocks)
		rs.blocks = blocks.block;
	blocks.block = NULL;
	*ret = rs;
	return 0;
}

void ruleset_done(struct ruleset *rs)
{
	free(rs->blocks);
	*rs = (struct ruleset){ 0 };
}
