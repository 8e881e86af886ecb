/* SPDX-License-Identifier: BSD-3-Clause */
/* Part of the compiler of rulesets: what finds the value of one word of an address. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "loader/ruleset_domain.h"

/** The numbers behind the part before, up to and with @last, have @value. */
struct part {
	uint32_t last, value;
};

/** Writes a tree of the @n parts, or a table of trees. @word: which one it is of an address.
 * @fixed: the first bits that are the same in all that is looked up there; the last part ends where
 * these bits do. */
int word_write(struct domain *domain, const struct part *part, size_t n, unsigned int word,
	       unsigned int fixed, uint32_t *ret_value);

/** What @value comes to where none of its tests holds. */
uint32_t value_outside(const struct blocks *blocks, uint32_t value);
