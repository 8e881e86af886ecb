/* SPDX-License-Identifier: BSD-3-Clause */
/* Part of the compiler of rulesets: what both protocols of a domain share. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "loader/ruleset_blocks.h"
#include "loader/ruleset_tests.h"
#include "loader/ruleset_tree.h"

struct domain {
	struct blocks *blocks; /* the index */
	struct trees trees;
	struct tests tests;
	uint64_t table_lines;    /* that tables may still cost beyond their share */
	struct blocks lists;     /* of trees; their place in the index comes last */
	unsigned int lists_used; /* words in the last block of lists */
	struct lookup lists_lookup;
	struct port_segment *segment;
	size_t n_segments, capacity;
};

void domain_done(struct domain *d);

/**
 * The ports behind the ones before, up to and with @last (an ISOMER_PORT_KEY), lead to the @n trees
 * of @list, at most ISOMER_TREES_MAX. What comes twice counts where it comes first.
 */
int domain_add_ports(struct domain *d, uint32_t last, const uint32_t *list, unsigned int n);

/** Writes the lists into the index, and the port tree if the header cannot hold the ports. */
int domain_end(struct domain *d, struct isomer_index_ports *ret_ports);
