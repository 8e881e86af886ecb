/* SPDX-License-Identifier: BSD-3-Clause */
/* Part of the compiler of rulesets: from nested prefixes to the trees and tests that tell them
 * apart.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "loader/ruleset_domain.h"
#include "loader/ruleset_rules.h"

/** A reference to what finds the value of the longest prefix that an address is in: @rule[i], a
 * rule of a prefix that no other one of the @n has, ascending, stands for the prefix of @value[i];
 * with
 * @value NULL, of its own verdict. */
int addresses_write(struct domain *domain, const struct rules *rules, const uint32_t *rule,
		    const uint32_t *value, size_t n, uint32_t *ret_reference);
