/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/ruleset_ports.h"
#include "state/cleanup.h"

#define PORTS 65536

/* What pushing may add to an index, in rules: one for eight of the operator's, and enough for a
 * small set to be merged completely. */
#define PUSH_MIN   8192
#define PUSH_SHARE 8

bool port_node_covers(const struct port_nodes *p, uint32_t node)
{
	while (node < p->n_leaves)
		node = 2 * node;
	return node - p->n_leaves < p->n_intervals;
}

uint16_t port_node_last(const struct port_nodes *p, uint32_t node)
{
	while (node < p->n_leaves)
		node = 2 * node + 1;
	node -= p->n_leaves;
	return p->border[node < p->n_intervals ? node + 1 : p->n_intervals] - 1;
}

/* A set of ports: a walk through all of them would be most of what a small set of rules costs. */
struct port_set {
	uint64_t word[PORTS / 64];
};

static void port_set_add(struct port_set *set, uint32_t port)
{
	set->word[port / 64] |= UINT64_C(1) << port % 64;
}

/* Makes the intervals; @ret_interval says which one a port begins, if it begins one. */
static int make_intervals(const struct rules *rules, struct port_nodes *p, uint32_t **ret_interval)
{
	uint32_t *interval = reallocarray(NULL, PORTS + 1, sizeof(*interval));
	struct port_set begins = { 0 };

	*ret_interval = interval;
	if (!interval)
		return -ENOMEM;
	port_set_add(&begins, 0);
	for (size_t i = 0; i < rules->n; i++) {
		port_set_add(&begins, rules->rule[i].port_first);
		if (rules->rule[i].port_last < PORTS - 1)
			port_set_add(&begins, rules->rule[i].port_last + 1);
	}
	for (uint32_t i = 0; i < PORTS / 64; i++)
		p->n_intervals += __builtin_popcountll(begins.word[i]);
	p->border = reallocarray(NULL, p->n_intervals + 1, sizeof(*p->border));
	if (!p->border)
		return -ENOMEM;
	p->n_intervals = 0;
	for (uint32_t i = 0; i < PORTS / 64; i++) {
		for (uint64_t word = begins.word[i]; word; word &= word - 1) {
			uint32_t port = i * 64 + __builtin_ctzll(word);

			interval[port] = p->n_intervals;
			p->border[p->n_intervals++] = port;
		}
	}
	p->border[p->n_intervals] = PORTS;
	interval[PORTS] = p->n_intervals;
	return 0;
}

/* Gives @rule to its nodes: counts it, or puts it at @next of each. */
static void give(const struct port_nodes *p, const uint32_t *interval, const struct rule *rule,
		 uint32_t index, uint32_t *next, bool count)
{
	uint32_t left = p->n_leaves + interval[rule->port_first];
	uint32_t right = p->n_leaves + interval[rule->port_last + 1];

	/* Up to the last leaf if it ends with the last interval: all ports are the root. */
	if (rule->port_last == PORTS - 1)
		right = 2 * p->n_leaves;
	for (uint32_t first = p->n_leaves; left < right; left /= 2, right /= 2, first /= 2) {
		uint32_t node[2], n = 0;

		if (left & 1)
			node[n++] = left++;
		if (right & 1)
			node[n++] = --right;
		for (uint32_t i = 0; i < n; i++) {
			/* Leaves behind the last interval stand for no port. */
			if ((node[i] - first) * (p->n_leaves / first) >= p->n_intervals)
				continue;
			if (count)
				next[node[i]]++;
			else
				p->rule[next[node[i]]++] = index;
		}
	}
}

static int give_all(const struct rules *rules, const uint32_t *interval, struct port_nodes *p)
{
	size_t n_nodes = 2 * (size_t)p->n_leaves;
	CLEANUP_FREE uint32_t *next = calloc(n_nodes, sizeof(*next));
	uint32_t sum = 0;

	p->start = reallocarray(NULL, n_nodes + 1, sizeof(*p->start));
	if (!next || !p->start)
		return -ENOMEM;
	for (size_t i = 0; i < rules->n; i++)
		give(p, interval, &rules->rule[i], i, next, true);
	for (size_t node = 0; node < n_nodes; node++) {
		p->start[node] = sum;
		sum += next[node];
		next[node] = p->start[node];
	}
	p->start[n_nodes] = sum;
	p->rule = reallocarray(NULL, (size_t)sum + 1, sizeof(*p->rule));
	if (!p->rule)
		return -ENOMEM;
	for (size_t i = 0; i < rules->n; i++)
		give(p, interval, &rules->rule[i], i, next, false);
	return 0;
}

/* A rule makes up to two segments, or one and a test. */
uint64_t rules_blocks(const struct rules *rules, uint64_t n)
{
	uint64_t values = rules->wide ? n : 2 * n;

	return (rules->wide ? n / ISOMER_PREFIX_TESTS : 0) + values / (2 * (ISOMER_LEAF + 1)) +
	       (n > 0);
}

/* What the rules of @node cost when they go into all trees below it, in blocks. @size: rules in the
 * tree of each node. A tree has no more of them than there are prefixes. */
static uint64_t push_cost(const struct rules *rules, const struct port_nodes *p, uint32_t node,
			  uint32_t *size, bool really)
{
	uint32_t n = port_node_rules(p, node);
	uint64_t cost = 0;

	for (uint32_t first = 2 * node, width = 2; first < 2 * p->n_leaves; first *= 2, width *= 2)
		for (uint32_t i = first; i < first + width; i++) {
			uint64_t more = (uint64_t)size[i] + n;

			if (!port_node_rules(p, i))
				continue;
			if (more > rules->n_prefixes)
				more = rules->n_prefixes;
			cost += rules_blocks(rules, more) - rules_blocks(rules, size[i]);
			if (really)
				size[i] = more;
		}
	return cost;
}

/* Decides which nodes are pushed: the smallest first, which give most for what they cost. A tree
 * with room in its last block takes rules for nothing, so costs are counted in blocks. */
static int choose_pushes(const struct rules *rules, struct port_nodes *p)
{
	uint32_t n_nodes = 2 * p->n_leaves, n = 0;
	CLEANUP_FREE struct sort_item *items = reallocarray(NULL, n_nodes, 2 * sizeof(*items));
	CLEANUP_FREE uint32_t *size = calloc(n_nodes, sizeof(*size));
	uint64_t budget = rules_blocks(rules, PUSH_MIN + rules->n / PUSH_SHARE);
	const struct sort_item *sorted;

	p->push = calloc(n_nodes, sizeof(*p->push));
	if (!items || !size || !p->push)
		return -ENOMEM;
	for (uint32_t node = 1; node < n_nodes; node++) {
		size[node] = port_node_rules(p, node);
		if (size[node] && p->below[node])
			items[n++] = (struct sort_item){ size[node], node };
		if (size[node] > rules->n_prefixes)
			size[node] = rules->n_prefixes;
	}
	sorted = items_sort(items, items + n_nodes, n);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t node = sorted[i].index;
		uint64_t cost = push_cost(rules, p, node, size, false);

		if (cost > budget)
			continue;
		budget -= cost;
		push_cost(rules, p, node, size, true);
		p->push[node] = true;
	}
	for (uint32_t node = 1; node < n_nodes; node++) {
		if (!port_node_rules(p, node) || p->push[node])
			continue;
		p->blocks += rules_blocks(rules, size[node]);
		p->layered |= p->below[node] > 0;
	}
	return 0;
}

int port_nodes_make(const struct rules *rules, struct port_nodes *ret)
{
	CLEANUP(port_nodes_done) struct port_nodes p = { .n_leaves = 1 };
	CLEANUP_FREE uint32_t *interval = NULL;
	int r;

	r = make_intervals(rules, &p, &interval);
	if (r < 0)
		return r;
	while (p.n_leaves < p.n_intervals)
		p.n_leaves *= 2;
	r = give_all(rules, interval, &p);
	if (r < 0)
		return r;
	p.below = calloc(2 * (size_t)p.n_leaves, sizeof(*p.below));
	if (!p.below)
		return -ENOMEM;
	for (uint32_t node = 2 * p.n_leaves - 1; node > 1; node--)
		p.below[node / 2] += p.below[node] + (port_node_rules(&p, node) > 0);
	r = choose_pushes(rules, &p);
	if (r < 0)
		return r;
	*ret = p;
	p = (struct port_nodes){ 0 };
	return 0;
}

void port_nodes_done(struct port_nodes *p)
{
	free(p->border);
	free(p->start);
	free(p->rule);
	free(p->below);
	free(p->push);
	*p = (struct port_nodes){ 0 };
}
