/* SPDX-License-Identifier: BSD-3-Clause */
/* The compiler of rulesets against the model: the index is walked as the BPF program walks it. What
 * is not as it has to be fails the test.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "loader/ruleset.h"
#include "support/ruleset_model.h"

/* Two arguments of binding_ipv4() and binding_ipv6(). */
#define ALL_PORTS 0, 65535

/** Bindings of TCP; addresses are numbers. */
struct isomer_binding binding_ipv4(uint32_t addr, uint8_t length, uint16_t first, uint16_t last,
				   uint32_t destination);
struct isomer_binding binding_ipv6(uint64_t hi, uint64_t lo, uint8_t length, uint16_t first,
				   uint16_t last, uint32_t destination);

/** Room for @n bindings, to be freed. */
struct isomer_binding *bindings_array(size_t n);

/** The verdict on @l; @ret_trees (may be NULL): what had to be searched. */
uint32_t ruleset_walk(const struct ruleset *rs, const struct model_lookup *l,
		      unsigned int *ret_trees);

/** How many tables were read, since it was set to 0. */
extern unsigned int ruleset_walk_tables;

void ruleset_check_compile(const struct isomer_binding *bindings, size_t n, struct ruleset *ret);

/** The verdict on @l is the model's. */
void ruleset_check(const struct ruleset *rs, const struct isomer_binding *bindings, size_t n,
		   const struct model_lookup *l);

/** Compiles, checks @n_lookups lookups, and gives back the size in blocks. @ret_most_trees: may be
 * NULL. */
size_t ruleset_check_set(const struct isomer_binding *bindings, size_t n, unsigned int n_lookups,
			 unsigned int *ret_most_trees);
