/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/bindings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/parse.h"

void bindings_done(struct bindings *set)
{
	free(set->entries);
	*set = BINDINGS_NONE;
}

bool bindings_same_traffic(const struct isomer_binding *a, const struct isomer_binding *b)
{
	return a->domain == b->domain && a->protocol == b->protocol &&
	       a->prefixlen == b->prefixlen && a->port_first == b->port_first &&
	       a->port_last == b->port_last && !memcmp(a->addr, b->addr, sizeof(a->addr));
}

ssize_t bindings_find(const struct bindings *set, const struct isomer_binding *key)
{
	for (size_t i = 0; i < set->n; i++)
		if (bindings_same_traffic(&set->entries[i], key))
			return (ssize_t)i;
	return -1;
}

int bindings_add(struct bindings *set, const struct isomer_binding *binding)
{
	struct isomer_binding *entries;

	if (set->n >= ISOMER_BINDINGS_MAX)
		return -E2BIG;
	entries = reallocarray(set->entries, set->n + 1, sizeof(*entries));
	if (!entries)
		return -ENOMEM;

	entries[set->n] = *binding;
	set->entries = entries;
	set->n++;
	return 0;
}

void bindings_remove(struct bindings *set, size_t index)
{
	memmove(&set->entries[index], &set->entries[index + 1],
		(set->n - index - 1) * sizeof(*set->entries));
	set->n--;
}

int bindings_compare(const struct isomer_binding *a, const struct isomer_binding *b)
{
	int width_a = a->port_last - a->port_first, width_b = b->port_last - b->port_first;

	if (a->protocol != b->protocol)
		return a->protocol - b->protocol;
	if (a->domain != b->domain)
		return a->domain - b->domain;
	if (a->prefixlen != b->prefixlen)
		return b->prefixlen - a->prefixlen;
	if (width_a != width_b)
		return width_a - width_b;
	if (a->port_first != b->port_first)
		return b->port_first - a->port_first;
	return memcmp(a->addr, b->addr, sizeof(a->addr));
}

static int compare(const void *a, const void *b)
{
	return bindings_compare(a, b);
}

static bool is_sorted(const struct bindings *set)
{
	for (size_t i = 1; i < set->n; i++)
		if (bindings_compare(&set->entries[i - 1], &set->entries[i]) > 0)
			return false;
	return true;
}

/* What load-bindings put in force is sorted; and qsort() takes a copy. */
void bindings_sort(struct bindings *set)
{
	if (!is_sorted(set))
		qsort(set->entries, set->n, sizeof(*set->entries), compare);
}

bool binding_all_ports(const struct isomer_binding *binding)
{
	return binding->port_first == 0;
}

void binding_prefix_text(const struct isomer_binding *binding, char ret[PREFIX_TEXT_SIZE])
{
	char addr[INET6_ADDRSTRLEN];

	inet_ntop(binding->domain, binding->addr, addr, sizeof(addr));
	snprintf(ret, PREFIX_TEXT_SIZE, "%s/%u", addr, binding->prefixlen);
}

void binding_ports_text(const struct isomer_binding *binding, char ret[PORTS_TEXT_SIZE])
{
	if (binding_all_ports(binding) || binding->port_first == binding->port_last)
		snprintf(ret, PORTS_TEXT_SIZE, "%u", binding->port_first);
	else
		snprintf(ret, PORTS_TEXT_SIZE, "%u-%u", binding->port_first, binding->port_last);
}

void binding_text(const struct isomer_binding *binding, const char *label,
		  char ret[BINDING_TEXT_SIZE])
{
	char prefix[PREFIX_TEXT_SIZE], ports[PORTS_TEXT_SIZE];

	binding_prefix_text(binding, prefix);
	binding_ports_text(binding, ports);
	snprintf(ret, BINDING_TEXT_SIZE, "%s#%s:[%s]:%s", label,
		 isomer_protocol_name(binding->protocol), prefix, ports);
}
