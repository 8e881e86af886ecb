/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/ruleset_addresses.h"
#include "loader/ruleset_by_address.h"
#include "loader/ruleset_place.h"
#include "loader/ruleset_ports.h"
#include "state/cleanup.h"

#define NONE UINT32_MAX

/* What an index may take, for each rule; and what is nothing to anybody. */
#define BYTES_NARROW 24
#define BYTES_WIDE   64
#define BLOCKS_MIN   1024

/* Rules that go into one tree: at most one of each prefix, ascending. */
struct selection {
	const uint32_t *rule;
	size_t n;
	uint32_t tree; /* reference once it has been made, else 0 */
};

/* What held for a prefix before a node was entered. */
struct undo {
	uint32_t prefix, rule;
};

struct placement {
	const struct rules *rules;
	struct port_nodes nodes;
	struct domain *domain;
	bool is_udp;
	uint32_t tree[ISOMER_TREES_MAX]; /* of the nodes on the path, the root's first */
	/* Of each prefix, the rule that wins among those on the path; NONE if there is none.
	 * NULL when no prefix has two rules. */
	uint32_t *winner;
	struct undo *undo;
	size_t n_undo;
};

static void placement_done(struct placement *p)
{
	port_nodes_done(&p->nodes);
	free(p->winner);
	free(p->undo);
}

static int make_tree(struct placement *p, struct selection *s, uint32_t *ret_tree)
{
	int r;

	if (!s->tree) {
		r = addresses_write(p->domain, p->rules, s->rule, NULL, s->n, &s->tree);
		if (r < 0)
			return r;
	}
	*ret_tree = s->tree;
	return 0;
}

/* Reduces the rules of @node to the winner of each prefix; a rule further up the path may win over
 * those of the node. */
static struct selection own_rules(struct placement *p, uint32_t node)
{
	uint32_t *rule = p->nodes.rule + p->nodes.start[node];
	size_t n = port_node_rules(&p->nodes, node), kept = 0;

	if (!p->winner)
		return (struct selection){ rule, n };
	for (size_t i = 0; i < n; i++) {
		uint32_t prefix = p->rules->rule[rule[i]].prefix, winner = p->winner[prefix];

		if (i + 1 < n && p->rules->rule[rule[i + 1]].prefix == prefix)
			continue;
		if (winner == NONE || winner < rule[i]) {
			p->undo[p->n_undo++] = (struct undo){ prefix, winner };
			winner = p->winner[prefix] = rule[i];
		}
		rule[kept++] = winner;
	}
	return (struct selection){ rule, kept };
}

/* The rules of @node and what comes down from above. The former win: they have been chosen with all
 * others in sight. @ret_buffer: what the selection is kept in, if anything, to be freed. */
static int select_rules(struct placement *p, uint32_t node, const struct selection *down,
			uint32_t **ret_buffer, struct selection *ret)
{
	const struct rule *rule = p->rules->rule;
	struct selection own = own_rules(p, node);
	uint32_t *merged;
	size_t i = 0, j = 0, n = 0;

	if (down->n == 0) {
		*ret = own;
		return 0;
	}
	merged = reallocarray(NULL, own.n + down->n, sizeof(*merged));
	if (!merged)
		return -ENOMEM;
	while (i < own.n || j < down->n) {
		uint32_t a = i < own.n ? rule[own.rule[i]].prefix : NONE;
		uint32_t b = j < down->n ? rule[down->rule[j]].prefix : NONE;

		merged[n++] = a <= b ? own.rule[i] : down->rule[j];
		i += a <= b;
		j += b <= a;
	}
	*ret_buffer = merged;
	*ret = (struct selection){ merged, n };
	return 0;
}

/* The ports of @node lead to the first @n_trees trees of the path, the deepest first. */
static int add_ports(struct placement *p, uint32_t node, unsigned int n_trees)
{
	uint32_t list[ISOMER_TREES_MAX];

	for (unsigned int i = 0; i < n_trees; i++)
		list[i] = p->tree[n_trees - 1 - i];
	return domain_add_ports(p->domain,
				ISOMER_PORT_KEY(p->is_udp, port_node_last(&p->nodes, node)), list,
				n_trees);
}

static void undo(struct placement *p, size_t n)
{
	while (p->n_undo > n) {
		p->n_undo--;
		p->winner[p->undo[p->n_undo].prefix] = p->undo[p->n_undo].rule;
	}
}

/* Places the rules of @node and of all nodes below it. The path has @n_trees trees so far, and
 * @down comes down from above. Calls itself as deep as the segment tree is: 17 at most. */
static int place(struct placement *p, uint32_t node, struct selection *down, unsigned int n_trees)
{
	CLEANUP_FREE uint32_t *buffer = NULL;
	bool has_rules = port_node_rules(&p->nodes, node) > 0, below = p->nodes.below[node] > 0;
	struct selection here, none = { 0 };
	size_t n_undo = p->n_undo;
	int r;

	if (!port_node_covers(&p->nodes, node))
		return 0;
	if (has_rules) {
		r = select_rules(p, node, down, &buffer, &here);
		if (r < 0)
			return r;
		down = &here;
	}
	if (down->n > 0 && (!below || (has_rules && !p->nodes.push[node]))) {
		r = make_tree(p, down, &p->tree[n_trees]);
		if (r < 0)
			return r;
		n_trees++;
		down = &none;
	}
	if (!below) {
		r = add_ports(p, node, n_trees);
	} else {
		r = place(p, 2 * node, down, n_trees);
		if (r == 0)
			r = place(p, 2 * node + 1, down, n_trees);
	}
	undo(p, n_undo);
	return r;
}

/* Whether to try what tells rules apart by address first. By port first, a port that is one of few
 * and leads to one tree is found as fast, and most other ports faster. */
static bool by_address_is_better(const struct port_nodes *nodes)
{
	return nodes->layered || nodes->n_intervals > ISOMER_HEADER_SEGMENTS;
}

/* How many blocks the ports may take there: no more in all than by port first, or than is promised
 * of any set. */
static uint64_t by_address_most(const struct rules *rules, const struct port_nodes *nodes)
{
	uint64_t most = BLOCKS_MIN + rules->n * (rules->wide ? BYTES_WIDE : BYTES_NARROW) /
					     sizeof(struct isomer_block);
	uint64_t addresses = rules_blocks(rules, rules->n_prefixes);

	if (most < nodes->blocks)
		most = nodes->blocks;
	return most > addresses ? most - addresses : 0;
}

int rules_place(const struct rules *rules, bool is_udp, struct domain *domain)
{
	CLEANUP(placement_done) struct placement p = { .rules = rules,
						       .domain = domain,
						       .is_udp = is_udp };
	struct selection none = { 0 };
	int r;

	if (rules->n == 0)
		return domain_add_ports(domain, ISOMER_PORT_KEY(is_udp, UINT16_MAX), NULL, 0);
	r = port_nodes_make(rules, &p.nodes);
	if (r < 0)
		return r;
	if (by_address_is_better(&p.nodes)) {
		r = rules_place_by_address(rules, is_udp, by_address_most(rules, &p.nodes), domain);
		if (r != -E2BIG)
			return r;
	}
	if (rules->n_prefixes < rules->n) {
		p.winner = reallocarray(NULL, rules->n_prefixes, sizeof(*p.winner));
		p.undo = reallocarray(NULL, rules->n, sizeof(*p.undo));
		if (!p.winner || !p.undo)
			return -ENOMEM;
		memset(p.winner, 0xff, rules->n_prefixes * sizeof(*p.winner));
	}
	return place(&p, 1, &none, 0);
}
