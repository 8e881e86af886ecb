/* SPDX-License-Identifier: BSD-3-Clause */
/* Part of the compiler of rulesets: writes tests (isomer/abi.h) into blocks. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "loader/ruleset_blocks.h"
#include "loader/ruleset_rules.h"

/** Tests that are in the blocks already: equal ones are stored once. */
struct tests {
	uint32_t block[2], used[2]; /* where there is room for more, by kind; used: tests in it */
	struct lookup lookup;
};

void tests_done(struct tests *t);

/** The test that @value refers to. */
const struct isomer_prefix_test *tests_prefix_at(const struct blocks *blocks, uint32_t value);

/** A test of the prefix of @length bits, at least one, that begins at @first. */
int tests_add_prefix(struct tests *t, struct blocks *blocks, struct address first,
		     unsigned int length, uint32_t in, uint32_t out, uint32_t *ret_value);

int tests_add_ports(struct tests *t, struct blocks *blocks, uint16_t first, uint16_t last,
		    uint32_t in, uint32_t out, uint32_t *ret_value);
