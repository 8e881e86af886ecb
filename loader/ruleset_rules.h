/* SPDX-License-Identifier: BSD-3-Clause */
/* Part of the compiler of rulesets: the bindings of one domain and protocol, sorted. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <isomer/abi.h>

/** An address as a number; an IPv4 address is in the highest 32 bits, and all behind it counts as
 * host. */
struct address {
	uint64_t hi, lo;
};

static inline bool address_less(struct address a, struct address b)
{
	return a.hi < b.hi || (a.hi == b.hi && a.lo < b.lo);
}

static inline bool address_equal(struct address a, struct address b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

static inline struct address address_after(struct address a)
{
	return (struct address){ a.hi + (a.lo == UINT64_MAX), a.lo + 1 };
}

static inline struct address address_before(struct address a)
{
	return (struct address){ a.hi - (a.lo == 0), a.lo - 1 };
}

#define ADDRESS_LAST ((struct address){ UINT64_MAX, UINT64_MAX })

/** The first and the last address of the prefix of @length bits that @a is in. */
struct address address_first_of(struct address a, unsigned int length);
struct address address_last_of(struct address a, unsigned int length);

/**
 * A binding. Sorted by prefix (first address, then length); of one prefix the one that wins
 * comes last, so precedence within a prefix is the order of indices.
 */
struct rule {
	struct address address;
	uint32_t verdict;
	uint16_t port_first, port_last;
	uint32_t prefix; /* number of the prefix, ascending */
};

struct rules {
	struct rule *rule;
	size_t n;
	size_t n_prefixes; /* different ones */
	bool wide;         /* IPv6 */
};

/** Picks the bindings of @domain and @protocol. -EINVAL: two of them are the same rule. */
int rules_make(const struct isomer_binding *bindings, size_t n, uint8_t domain, uint8_t protocol,
	       struct rules *ret);
void rules_done(struct rules *r);

/** The last address of the prefix of @rule. */
struct address rule_last(const struct rule *rule);

/** A number to sort by, and what it belongs to. */
struct sort_item {
	uint64_t key;
	uint32_t index;
};

/** Sorts @item by key, in time linear in @n; equal keys keep their order. @spare: @n items. Returns
 * which of the two arrays holds the result. */
struct sort_item *items_sort(struct sort_item *item, struct sort_item *spare, size_t n);
