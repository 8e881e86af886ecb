/* SPDX-License-Identifier: BSD-3-Clause */
/* The compiler of rulesets: from the operator's bindings to the index that the BPF program
 * searches (format: isomer/abi.h). Pure: no system call, no log.
 *
 * Precedence: the longer prefix wins; at equal length the narrower port set (exact port, then
 * smaller range, then all ports); at equal length and width the higher first port.
 */
#pragma once

#include <stddef.h>

#include <isomer/abi.h>

struct ruleset {
	/* Block 0 is the header; header.list is left 0, and header.place says that there is one
	 * page. Behind the last block are zeros to the end of a page. */
	struct isomer_block *blocks;
	size_t n_blocks;
};

/** How many pages @rs has: one at least. */
static inline size_t ruleset_pages(const struct ruleset *rs)
{
	return (rs->n_blocks + ISOMER_PAGE_BLOCKS - 1) / ISOMER_PAGE_BLOCKS;
}

/**
 * Compiles @n bindings, in any order. Each must be valid: known domain and protocol, no bit set
 * behind the prefix, 0-65535 or 1 <= first <= last, destination below ISOMER_DESTINATIONS_MAX; and
 * no two of them may have the same domain, protocol, prefix and ports.
 *
 * No set is refused for its shape: an index of ISOMER_BLOCKS_MAX is several times what any is known
 * to take. Returns 0, -EINVAL for a set that breaks these rules, -E2BIG for more than
 * ISOMER_BINDINGS_MAX bindings or such an index, -ENOMEM.
 */
int ruleset_compile(const struct isomer_binding *bindings, size_t n, struct ruleset *ret);

void ruleset_done(struct ruleset *rs);
