/* SPDX-License-Identifier: BSD-3-Clause */
/* Part of the compiler of rulesets: makes the address trees of the rules of one domain and
 * protocol, and tells which ports lead to which trees.
 */
#pragma once

#include <stdbool.h>

#include "loader/ruleset_domain.h"
#include "loader/ruleset_rules.h"

int rules_place(const struct rules *rules, bool is_udp, struct domain *domain);
