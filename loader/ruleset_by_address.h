/* SPDX-License-Identifier: BSD-3-Clause */
/* Part of the compiler of rulesets: the rules of one domain and protocol, told apart by address
 * first, and then by what the ports of each prefix lead to.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "loader/ruleset_domain.h"
#include "loader/ruleset_rules.h"

/** -E2BIG: the tests and trees of ports would take more than @most blocks, or too long to make;
 * nothing has been added to @domain. */
int rules_place_by_address(const struct rules *rules, bool is_udp, uint64_t most,
			   struct domain *domain);
