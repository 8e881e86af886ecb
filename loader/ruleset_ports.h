/* SPDX-License-Identifier: BSD-3-Clause */
/* Part of the compiler of rulesets: which rules are searched for which ports.
 *
 * The borders of all port sets cut the ports into intervals. These are the leaves of a segment
 * tree, numbered like a heap: 1 is the root, 2i and 2i + 1 are the children of i. A rule belongs to
 * the few nodes that together cover its ports. What matches a port is at the nodes on the path
 * from its leaf to the root: at most 17.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "loader/ruleset_rules.h"

struct port_nodes {
	uint32_t n_intervals;
	uint32_t *border;  /* first port of each interval, then 65536 */
	uint32_t n_leaves; /* a power of two, at least n_intervals */
	uint32_t *start;   /* of node i: its rules are rule[start[i]] to rule[start[i + 1]] */
	uint32_t *rule;    /* indices, ascending within a node */
	uint32_t *below;   /* of node i: how many nodes under it have rules */
	bool *push;        /* of node i: its rules go into the trees of the nodes under it */
	uint64_t blocks;   /* of all trees, about */
	bool layered;      /* some port leads to several trees */
};

/** Blocks of a tree of @n rules, about. */
uint64_t rules_blocks(const struct rules *rules, uint64_t n);

int port_nodes_make(const struct rules *rules, struct port_nodes *ret);
void port_nodes_done(struct port_nodes *p);

static inline uint32_t port_node_rules(const struct port_nodes *p, uint32_t node)
{
	return p->start[node + 1] - p->start[node];
}

/** Whether @node stands for any port: there may be more leaves than intervals. */
bool port_node_covers(const struct port_nodes *p, uint32_t node);

/** The last port of @node, which must stand for any. */
uint16_t port_node_last(const struct port_nodes *p, uint32_t node);
