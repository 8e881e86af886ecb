/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "loader/ruleset_rules.h"
#include "state/cleanup.h"

static uint64_t be64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

static struct address binding_address(const struct isomer_binding *b)
{
	return (struct address){ be64(b->addr), be64(b->addr + 8) };
}

/* What decides after the address: the length, then who wins. */
static uint64_t binding_rank(const struct isomer_binding *b)
{
	uint64_t width = b->port_last - b->port_first;

	return (uint64_t)b->prefixlen << 32 | (UINT16_MAX - width) << 16 | b->port_first;
}

/* The bits behind the first @length ones. */
static struct address host_bits(unsigned int length)
{
	return (struct address){ length < 64 ? UINT64_MAX >> length : 0,
				 length <= 64   ? UINT64_MAX
				 : length < 128 ? UINT64_MAX >> (length - 64)
						: 0 };
}

struct address address_first_of(struct address a, unsigned int length)
{
	struct address host = host_bits(length);

	return (struct address){ a.hi & ~host.hi, a.lo & ~host.lo };
}

struct address address_last_of(struct address a, unsigned int length)
{
	struct address host = host_bits(length);

	return (struct address){ a.hi | host.hi, a.lo | host.lo };
}

struct address rule_last(const struct rule *rule)
{
	return address_last_of(rule->address, ISOMER_VERDICT_RANK(rule->verdict) - 1);
}

/* One pass of a radix sort, by the byte of the key at @shift. */
static void sort_pass(const struct sort_item *from, struct sort_item *to, size_t n, int shift)
{
	size_t start[256] = { 0 }, sum = 0;

	for (size_t i = 0; i < n; i++)
		start[from[i].key >> shift & 0xff]++;
	for (int i = 0; i < 256; i++) {
		size_t count = start[i];

		start[i] = sum;
		sum += count;
	}
	for (size_t i = 0; i < n; i++)
		to[start[from[i].key >> shift & 0xff]++] = from[i];
}

struct sort_item *items_sort(struct sort_item *item, struct sort_item *spare, size_t n)
{
	uint64_t differs = 0;

	for (size_t i = 1; i < n; i++)
		differs |= item[i].key ^ item[0].key;
	for (int shift = 0; shift < 64; shift += 8) {
		struct sort_item *swap = item;

		if (!(differs >> shift & 0xff))
			continue;
		sort_pass(item, spare, n, shift);
		item = spare;
		spare = swap;
	}
	return item;
}

/* Sorts @n bindings, named by the indices in @item, from the least significant part of the key to
 * the most significant. */
static struct sort_item *sort_bindings(const struct isomer_binding *bindings,
				       struct sort_item *item, struct sort_item *spare, size_t n)
{
	struct sort_item *sorted;

	for (size_t i = 0; i < n; i++)
		item[i].key = binding_rank(&bindings[item[i].index]);
	sorted = items_sort(item, spare, n);
	spare = sorted == item ? spare : item;
	for (size_t i = 0; i < n; i++)
		sorted[i].key = binding_address(&bindings[sorted[i].index]).lo;
	item = items_sort(sorted, spare, n);
	spare = item == sorted ? spare : sorted;
	for (size_t i = 0; i < n; i++)
		item[i].key = binding_address(&bindings[item[i].index]).hi;
	return items_sort(item, spare, n);
}

static size_t pick(const struct isomer_binding *bindings, size_t n, uint8_t domain,
		   uint8_t protocol, struct sort_item *ret_item)
{
	size_t picked = 0;

	for (size_t i = 0; i < n; i++) {
		if (bindings[i].domain != domain || bindings[i].protocol != protocol)
			continue;
		if (ret_item)
			ret_item[picked].index = i;
		picked++;
	}
	return picked;
}

static bool same_prefix(const struct rule *a, const struct rule *b)
{
	return address_equal(a->address, b->address) &&
	       ISOMER_VERDICT_RANK(a->verdict) == ISOMER_VERDICT_RANK(b->verdict);
}

static int number_prefixes(struct rules *rules)
{
	for (size_t i = 0; i < rules->n; i++) {
		struct rule *rule = &rules->rule[i];

		if (i == 0 || !same_prefix(rule - 1, rule))
			rules->n_prefixes++;
		else if (rule[-1].port_first == rule->port_first &&
			 rule[-1].port_last == rule->port_last)
			return -EINVAL;
		rule->prefix = rules->n_prefixes - 1;
	}
	return 0;
}

int rules_make(const struct isomer_binding *bindings, size_t n, uint8_t domain, uint8_t protocol,
	       struct rules *ret)
{
	CLEANUP_FREE struct sort_item *items = NULL;
	CLEANUP(rules_done) struct rules rules = { .wide = domain == AF_INET6 };
	const struct sort_item *sorted;
	int r;

	rules.n = pick(bindings, n, domain, protocol, NULL);
	if (rules.n == 0) {
		*ret = rules;
		return 0;
	}
	items = reallocarray(NULL, rules.n, 2 * sizeof(*items));
	rules.rule = reallocarray(NULL, rules.n, sizeof(*rules.rule));
	if (!items || !rules.rule)
		return -ENOMEM;
	pick(bindings, n, domain, protocol, items);
	sorted = sort_bindings(bindings, items, items + rules.n, rules.n);
	for (size_t i = 0; i < rules.n; i++) {
		const struct isomer_binding *b = &bindings[sorted[i].index];

		rules.rule[i] = (struct rule){
			.address = binding_address(b),
			.verdict = ISOMER_VERDICT(b->destination, b->miss == ISOMER_MISS_PASS,
						  b->prefixlen),
			.port_first = b->port_first,
			.port_last = b->port_last,
		};
	}
	r = number_prefixes(&rules);
	if (r < 0)
		return r;
	*ret = rules;
	rules.rule = NULL;
	return 0;
}

void rules_done(struct rules *r)
{
	free(r->rule);
	r->rule = NULL;
}
