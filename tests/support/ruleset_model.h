/* SPDX-License-Identifier: BSD-3-Clause */
/* What a ruleset means, said as plainly as possible: every binding is compared with every lookup.
 * And sets of bindings to try it on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <isomer/abi.h>

/** What a packet is sent to. */
struct model_lookup {
	uint8_t domain, protocol;
	uint16_t port;
	uint8_t addr[16]; /* network order; IPv4 in the first four */
};

/** What the model says. */
struct model_answer {
	const struct isomer_binding *winner; /* NULL: no binding matches */
	size_t matches;
	bool by_ports; /* another binding with a prefix as long lost by its ports */
};

struct model_answer model_search(const struct isomer_binding *bindings, size_t n,
				 const struct model_lookup *lookup);

/** Random numbers that a seed repeats. */
struct model_random {
	uint64_t state;
};

/** The seed: from ISOMER_TEST_SEED in the environment, or @fallback. Printed. */
struct model_random model_random_make(uint64_t fallback);
uint32_t model_random(struct model_random *r, uint32_t below);

#define MODEL_BORDERS 12

/** Where the bindings of a set come from: few addresses and ports, so that they meet. */
struct model_field {
	uint8_t addr[8][16];
	uint16_t border[MODEL_BORDERS]; /* none is 0 */
	unsigned int n_addr;
};

void model_field_make(struct model_random *r, struct model_field *ret);

/** Random bindings of both families and protocols, no two of them the same rule; destinations are
 * their numbers. Returns how many there are: up to @n. */
size_t model_bindings(struct model_random *r, const struct model_field *field,
		      struct isomer_binding *ret, size_t n);

/** Adds @n bindings of TCP, each to many ports, of one prefix or of one within: so many that the
 * compiler neither merges what matches a port into one tree, nor what the ports of a prefix lead to
 * into one map. Their destination is @destination. */
void model_ballast(struct isomer_binding *ret, size_t n, uint8_t domain, uint32_t destination);

/** A lookup at the border of a random binding: the first or last address of its prefix or the one
 * before or behind, and likewise its ports. */
struct model_lookup model_lookup_near(struct model_random *r, const struct isomer_binding *bindings,
				      size_t n);
