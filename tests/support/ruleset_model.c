/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "support/ruleset_model.h"

static bool matches(const struct isomer_binding *b, const struct model_lookup *l)
{
	if (b->domain != l->domain || b->protocol != l->protocol)
		return false;
	if (l->port < b->port_first || l->port > b->port_last)
		return false;
	for (unsigned int bit = 0; bit < b->prefixlen; bit++)
		if ((b->addr[bit / 8] ^ l->addr[bit / 8]) >> (7 - bit % 8) & 1)
			return false;
	return true;
}

static unsigned int width(const struct isomer_binding *b)
{
	return b->port_last - b->port_first;
}

struct model_answer model_search(const struct isomer_binding *bindings, size_t n,
				 const struct model_lookup *lookup)
{
	struct model_answer answer = { 0 };

	for (size_t i = 0; i < n; i++) {
		const struct isomer_binding *b = &bindings[i], *best = answer.winner;

		if (!matches(b, lookup))
			continue;
		answer.matches++;
		if (best && b->prefixlen == best->prefixlen)
			answer.by_ports = true;
		if (!best || b->prefixlen > best->prefixlen) {
			answer.winner = b;
			answer.by_ports = false;
		} else if (b->prefixlen == best->prefixlen &&
			   (width(b) < width(best) ||
			    (width(b) == width(best) && b->port_first > best->port_first))) {
			answer.winner = b;
		}
	}
	return answer;
}

struct model_random model_random_make(uint64_t fallback)
{
	const char *text = getenv("ISOMER_TEST_SEED");
	struct model_random r = { text ? strtoull(text, NULL, 0) : fallback };

	printf("ISOMER_TEST_SEED=%" PRIu64 "\n", r.state);
	return r;
}

uint32_t model_random(struct model_random *r, uint32_t below)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15; /* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (uint32_t)((z ^ z >> 31) >> 32) % below;
}

static void clear_behind(uint8_t addr[16], unsigned int length)
{
	for (unsigned int bit = length; bit < 128; bit++)
		addr[bit / 8] &= ~(0x80 >> bit % 8);
}

/* Addresses at both ends of the space, and some that differ from another in few bits. */
void model_field_make(struct model_random *r, struct model_field *ret)
{
	*ret = (struct model_field){ .n_addr = 8 };
	memset(ret->addr[1], 0xff, sizeof(ret->addr[1]));
	for (unsigned int i = 2; i < ret->n_addr; i++) {
		for (unsigned int byte = 0; byte < 16; byte++)
			ret->addr[i][byte] = model_random(r, 256);
		if (i >= 4) {
			unsigned int bit =
				model_random(r, 2) ? model_random(r, 32) : model_random(r, 128);

			memcpy(ret->addr[i], ret->addr[2 + i % 2], sizeof(ret->addr[i]));
			ret->addr[i][bit / 8] ^= 0x80 >> bit % 8;
		}
	}
	ret->border[0] = 1;
	ret->border[1] = 65535;
	for (unsigned int i = 2; i < MODEL_BORDERS; i++) {
		ret->border[i] = 1 + model_random(r, 65535);
		if (i % 3 && ret->border[i - 1] < 65535)
			ret->border[i] = ret->border[i - 1] + 1;
	}
}

static struct isomer_binding random_binding(struct model_random *r, const struct model_field *field)
{
	static const uint8_t lengths[][5] = { { 0, 8, 20, 31, 32 }, { 0, 32, 64, 127, 128 } };
	bool wide = model_random(r, 2);
	struct isomer_binding b = {
		.domain = wide ? AF_INET6 : AF_INET,
		.protocol = model_random(r, 3) ? IPPROTO_TCP : IPPROTO_UDP,
		.miss = ISOMER_MISS_DROP,
		.prefixlen = model_random(r, 2) ? lengths[wide][model_random(r, 5)]
						: model_random(r, wide ? 129 : 33),
		.port_first = field->border[model_random(r, MODEL_BORDERS)],
		.port_last = field->border[model_random(r, MODEL_BORDERS)],
	};

	memcpy(b.addr, field->addr[model_random(r, field->n_addr)], sizeof(b.addr));
	clear_behind(b.addr, b.prefixlen);
	if (b.port_first > b.port_last) {
		uint16_t last = b.port_first;

		b.port_first = b.port_last;
		b.port_last = last;
	}
	switch (model_random(r, 4)) {
	case 0:
		b.port_first = 0;
		b.port_last = 65535;
		break;
	case 1:
		b.port_last = b.port_first;
		break;
	default:
		break;
	}
	return b;
}

static bool same_rule(const struct isomer_binding *a, const struct isomer_binding *b)
{
	return a->domain == b->domain && a->protocol == b->protocol &&
	       a->prefixlen == b->prefixlen && a->port_first == b->port_first &&
	       a->port_last == b->port_last && memcmp(a->addr, b->addr, sizeof(a->addr)) == 0;
}

size_t model_bindings(struct model_random *r, const struct model_field *field,
		      struct isomer_binding *ret, size_t n)
{
	size_t made = 0;

	/* Few addresses and ports do not give any number of different rules. */
	for (size_t attempt = 0; attempt < 2 * n && made < n; attempt++) {
		size_t i = 0;

		ret[made] = random_binding(r, field);
		while (i < made && !same_rule(&ret[i], &ret[made]))
			i++;
		if (i == made) {
			ret[made].destination = made;
			made++;
		}
	}
	return made;
}

void model_ballast(struct isomer_binding *ret, size_t n, uint8_t domain, uint32_t destination)
{
	for (size_t i = 0; i < n; i++) {
		ret[i] = (struct isomer_binding){
			.domain = domain,
			.protocol = IPPROTO_TCP,
			.prefixlen = i % 8 ? 32 : 8,
			.port_first = 1 + i * 32768 / n,
			.port_last = 65535 - i * 32767 / n,
			.addr = { 10 },
			.destination = destination,
		};
		for (int byte = 1; byte < 4 && i % 8; byte++)
			ret[i].addr[byte] = i >> (24 - 8 * byte);
	}
}

/* @addr plus or minus one, around the end of the space too. */
static void step(uint8_t *addr, unsigned int n_bytes, int by)
{
	for (unsigned int i = n_bytes; i-- > 0;) {
		addr[i] += by;
		if (addr[i] != (by > 0 ? 0 : 0xff))
			return;
	}
}

struct model_lookup model_lookup_near(struct model_random *r, const struct isomer_binding *bindings,
				      size_t n)
{
	const struct isomer_binding *b = &bindings[model_random(r, n)];
	struct model_lookup l = { .domain = b->domain, .protocol = b->protocol };
	unsigned int n_bytes = b->domain == AF_INET ? 4 : 16;
	static const int steps[] = { 0, 0, 1, -1 };
	int by;

	memcpy(l.addr, b->addr, sizeof(l.addr));
	if (model_random(r, 2))
		for (unsigned int bit = b->prefixlen; bit < n_bytes * 8; bit++)
			l.addr[bit / 8] |= 0x80 >> bit % 8;
	by = steps[model_random(r, 4)];
	if (by)
		step(l.addr, n_bytes, by);
	l.port = model_random(r, 2) ? b->port_first : b->port_last;
	l.port += steps[model_random(r, 4)];
	return l;
}
