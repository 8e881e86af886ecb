/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/ruleset_by_address.h"

#include <errno.h>
#include <stdlib.h>

#include "loader/ruleset_addresses.h"
#include "state/cleanup.h"

#define PORTS 65536

/* From so many rules of one prefix on, all ports are written down one by one. */
#define PAINT_MIN 16

/* How many ports and cuts of ports may be touched, for each rule and at least: a fraction of a
 * second for a million rules. */
#define WORK_SHARE 64
#define WORK_MIN   (1 << 22)

/* The ports behind the cut before lead to a verdict, or to none (0). */
struct cut {
	uint16_t last;
	uint32_t verdict;
};

/* What all ports lead to. */
struct port_map {
	struct cut *cut;
	size_t n, capacity;
};

/* A prefix around the present place, with what is left to it by those around it. */
struct open_prefix {
	struct address last;
	struct port_map ports;
};

struct prefixes {
	const struct rules *rules;
	struct domain *domain;
	struct open_prefix open[130]; /* all addresses, then lengths 0 to 128 */
	unsigned int depth;
	struct port_map spare;
	uint32_t *port;         /* verdicts of all ports, when they are written down */
	uint32_t *rule, *value; /* of each prefix: a rule, and what its ports lead to */
	uint64_t bytes, work;   /* of tests and trees of ports; ports and cuts touched */
};

static void prefixes_done(struct prefixes *p)
{
	for (size_t i = 0; i < sizeof(p->open) / sizeof(*p->open); i++)
		free(p->open[i].ports.cut);
	free(p->spare.cut);
	free(p->port);
	free(p->rule);
	free(p->value);
}

static int add_cut(struct port_map *map, uint32_t last, uint32_t verdict)
{
	if (map->n > 0 && map->cut[map->n - 1].verdict == verdict) {
		map->cut[map->n - 1].last = (uint16_t)last;
		return 0;
	}
	if (map->n == map->capacity) {
		size_t capacity = map->capacity * 2 + 8;
		void *p = reallocarray(map->cut, capacity, sizeof(*map->cut));

		if (!p)
			return -ENOMEM;
		map->cut = p;
		map->capacity = capacity;
	}
	map->cut[map->n++] = (struct cut){ (uint16_t)last, verdict };
	return 0;
}

/* @from, but for the ports of @rule. */
static int overlay(const struct port_map *from, const struct rule *rule, struct port_map *to)
{
	uint32_t start = 0;
	bool done = false;
	int r = 0;

	to->n = 0;
	for (size_t i = 0; i < from->n && r == 0; i++) {
		uint32_t last = from->cut[i].last, verdict = from->cut[i].verdict;

		if (start < rule->port_first)
			r = add_cut(to, last < rule->port_first ? last : rule->port_first - 1u,
				    verdict);
		if (r == 0 && !done && last >= rule->port_first) {
			r = add_cut(to, rule->port_last, rule->verdict);
			done = true;
		}
		if (r == 0 && last > rule->port_last)
			r = add_cut(to, last, verdict);
		start = last + 1;
	}
	return r;
}

/* The same of many rules, of which the later ones win: port by port. */
static int paint(struct prefixes *p, const struct port_map *from, const struct rule *rule, size_t n,
		 struct port_map *to)
{
	uint32_t port = 0;
	int r = 0;

	for (size_t i = 0; i < from->n; i++)
		for (; port <= from->cut[i].last; port++)
			p->port[port] = from->cut[i].verdict;
	p->work += PORTS;
	for (size_t i = 0; i < n; i++) {
		p->work += rule[i].port_last - rule[i].port_first + 1u;
		if (p->work > WORK_SHARE * p->rules->n + WORK_MIN)
			return -E2BIG;
		for (port = rule[i].port_first; port <= rule[i].port_last; port++)
			p->port[port] = rule[i].verdict;
	}
	to->n = 0;
	for (port = 0; port < PORTS && r == 0; port++)
		r = add_cut(to, port, p->port[port]);
	return r;
}

/* Opens the prefix of the @n rules at @rule within those that are open. */
static int open_prefix(struct prefixes *p, const struct rule *rule, size_t n)
{
	const struct port_map *from;
	struct port_map *to;
	int r = 0;

	while (p->depth > 1 && address_less(p->open[p->depth - 1].last, rule->address))
		p->depth--;
	from = &p->open[p->depth - 1].ports;
	p->open[p->depth].last = rule_last(rule);
	to = &p->open[p->depth++].ports;
	if (n >= PAINT_MIN)
		return paint(p, from, rule, n, to);
	for (size_t i = 0; i < n && r == 0; i++) {
		struct port_map swap = *to;

		r = overlay(from, &rule[i], &p->spare);
		*to = p->spare;
		p->spare = swap;
		from = to;
		p->work += from->n;
	}
	return r < 0 || p->work <= WORK_SHARE * p->rules->n + WORK_MIN ? r : -E2BIG;
}

/* How many tests tell what the ports lead to that do not lead to the same as the first ones; 0 if a
 * tree has to. */
static unsigned int chain_length(const struct port_map *map)
{
	unsigned int n = 0;

	if (map->n > 2 * ISOMER_PORT_CHAIN_MAX + 1)
		return 0;
	for (size_t i = 1; i < map->n; i++)
		n += map->cut[i].verdict != map->cut[0].verdict;
	return n <= ISOMER_PORT_CHAIN_MAX ? n : 0;
}

static uint64_t map_bytes(const struct port_map *map)
{
	unsigned int n = chain_length(map);

	if (map->n == 1 || n)
		return n * sizeof(struct isomer_port_test);
	return (map->n / (ISOMER_LEAF + 1) + (map->n > ISOMER_LEAF + 1 ? 3 : 1)) *
	       sizeof(struct isomer_line);
}

/* The tests of a chain, the last one first. */
static int write_chain(struct prefixes *p, const struct port_map *map, uint32_t *ret_value)
{
	const struct cut *cut = map->cut;
	uint32_t value = cut[0].verdict;
	int r = 0;

	for (size_t i = 1; i < map->n && r == 0; i++)
		if (cut[i].verdict != cut[0].verdict)
			r = tests_add_ports(&p->domain->tests, p->domain->blocks,
					    cut[i - 1].last + 1u, cut[i].last, cut[i].verdict,
					    value, &value);
	*ret_value = value;
	return r;
}

static int write_map(struct prefixes *p, const struct port_map *map, uint32_t *ret_value)
{
	CLEANUP(tree_writer_done) struct tree_writer w = { 0 };
	int r;

	if (map->n == 1 || chain_length(map))
		return write_chain(p, map, ret_value);
	r = tree_begin(&w, p->domain->blocks, map->n + 1);
	for (size_t i = 0; i < map->n && r == 0; i++)
		r = tree_segment(&w, map->cut[i].last, map->cut[i].verdict);
	if (r == 0)
		r = tree_segment(&w, UINT32_MAX, 0);
	return r < 0 ? r : tree_end(&w, &p->domain->trees, ISOMER_KIND_PORT, ret_value);
}

/* Goes through all prefixes; writes what their ports lead to, or only finds out how much it is. */
static int each_prefix(struct prefixes *p, uint64_t most, bool write)
{
	const struct rules *rules = p->rules;
	size_t end;
	int r = 0;

	p->depth = 1;
	p->work = p->bytes = 0;
	for (size_t i = 0; i < rules->n && r == 0; i = end) {
		uint32_t prefix = rules->rule[i].prefix;

		for (end = i + 1; end < rules->n && rules->rule[end].prefix == prefix;)
			end++;
		r = open_prefix(p, &rules->rule[i], end - i);
		if (r < 0)
			return r;
		p->bytes += map_bytes(&p->open[p->depth - 1].ports);
		if (p->bytes / sizeof(struct isomer_block) > most)
			return -E2BIG;
		p->rule[prefix] = i;
		if (write)
			r = write_map(p, &p->open[p->depth - 1].ports, &p->value[prefix]);
	}
	return r;
}

/* The ports from the lowest to the highest one of any rule lead to @reference. */
static int add_ports(const struct rules *rules, bool is_udp, struct domain *domain,
		     uint32_t reference)
{
	uint16_t first = UINT16_MAX, last = 0;
	int r = 0;

	for (size_t i = 0; i < rules->n; i++) {
		const struct rule *rule = &rules->rule[i];

		first = rule->port_first < first ? rule->port_first : first;
		last = rule->port_last > last ? rule->port_last : last;
	}
	if (first > 0)
		r = domain_add_ports(domain, ISOMER_PORT_KEY(is_udp, first - 1), NULL, 0);
	if (r == 0)
		r = domain_add_ports(domain, ISOMER_PORT_KEY(is_udp, last), &reference, 1);
	if (r == 0 && last < UINT16_MAX)
		r = domain_add_ports(domain, ISOMER_PORT_KEY(is_udp, UINT16_MAX), NULL, 0);
	return r;
}

int rules_place_by_address(const struct rules *rules, bool is_udp, uint64_t most,
			   struct domain *domain)
{
	CLEANUP(prefixes_done) struct prefixes p = { .rules = rules, .domain = domain };
	uint32_t reference;
	int r;

	p.port = reallocarray(NULL, PORTS, sizeof(*p.port));
	p.rule = reallocarray(NULL, rules->n_prefixes, sizeof(*p.rule));
	p.value = reallocarray(NULL, rules->n_prefixes, sizeof(*p.value));
	if (!p.port || !p.rule || !p.value)
		return -ENOMEM;
	p.open[0].last = ADDRESS_LAST;
	r = add_cut(&p.open[0].ports, PORTS - 1, 0);
	if (r == 0)
		r = each_prefix(&p, most, false);
	if (r == 0)
		r = each_prefix(&p, most, true);
	if (r == 0)
		r = addresses_write(domain, rules, p.rule, p.value, rules->n_prefixes, &reference);
	return r < 0 ? r : add_ports(rules, is_udp, domain, reference);
}
