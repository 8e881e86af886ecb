/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/lookup/sets.h"

#include <string.h>
#include <sys/socket.h>

const struct mix mixes[] = {
	{ "/32", AF_INET, 32, 0, 32, MIX_PORT },
	{ "/32+/24+/20, 2 ports, all", AF_INET, 20, 24, 32, MIX_PORTS },
	{ "/8 to /32", AF_INET, 8, 0, 32, MIX_PORT },
	{ "/24 to /32, ranges", AF_INET, 24, 0, 32, MIX_RANGES },
	{ "/128", AF_INET6, 128, 0, 128, MIX_PORT },
	{ "/64+/48+/32, 2 ports, all", AF_INET6, 32, 48, 64, MIX_PORTS },
	{ "/16 to /128", AF_INET6, 16, 0, 128, MIX_PORT },
};
const size_t n_mixes = sizeof(mixes) / sizeof(*mixes);

const char *const target_names[TARGET_KINDS] = {
	[TARGET_PORT] = "hit, port",
	[TARGET_ALL] = "hit, all ports",
	[TARGET_INSIDE] = "miss inside",
	[TARGET_OUTSIDE] = "miss outside",
};

/* Bound by nothing but ranges and all ports. */
#define FREE_PORT 7

/* Spreads @i over 64 bits, @i and only @i to the same ones. */
static uint64_t spread(uint64_t i)
{
	i = (i ^ i >> 31) * 0x9e3779b97f4a7c15;
	return i ^ i >> 32;
}

static void put_bits(uint8_t addr[16], unsigned int at, unsigned int n, uint64_t value)
{
	for (unsigned int i = 0; i < n; i++)
		if (value >> (n - 1 - i) & 1)
			addr[(at + i) / 8] |= (uint8_t)(0x80 >> (at + i) % 8);
}

/* Prefix @i of @length: different for every @i below half of what the length can tell apart. Within
 * 2000::/3 and half of IPv4, so that a good part of the addresses stays free. */
static void put_prefix(uint8_t domain, unsigned int length, uint64_t i, uint8_t addr[16])
{
	unsigned int fixed = domain == AF_INET ? 1 : 3;
	unsigned int high = length - fixed, low = 0;

	memset(addr, 0, 16);
	if (domain == AF_INET6)
		put_bits(addr, 0, 3, 1);
	if (high > 29) {
		low = high - 29;
		high = 29;
	}
	/* An odd factor permutes the numbers of so many bits. */
	put_bits(addr, fixed, high, i * 0x9e3779b1 & ((1u << high) - 1));
	if (low > 64)
		put_bits(addr, fixed + high, low - 64, spread(i + 1));
	put_bits(addr, fixed + high + (low > 64 ? low - 64 : 0), low > 64 ? 64 : low,
		 spread(i) & (low >= 64 ? UINT64_MAX : ((uint64_t)1 << low) - 1));
}

static void put_ports(const struct mix *mix, size_t i, struct isomer_binding *b)
{
	static const uint16_t ports[3][2] = { { 80, 80 }, { 443, 443 }, { 0, UINT16_MAX } };
	uint64_t random = spread(i + 99);
	size_t turn = (i + i / 3) % 3; /* not in step with the lengths */

	switch (mix->ports) {
	case MIX_PORT:
		b->port_first = b->port_last = 80;
		break;
	case MIX_PORTS:
		b->port_first = ports[turn][0];
		b->port_last = ports[turn][1];
		break;
	case MIX_RANGES:
		b->port_first = 1024 + random % 60000;
		b->port_last = b->port_first + 1 + (random >> 32) % 1000;
		break;
	}
}

static unsigned int next_length(const struct mix *mix, unsigned int length)
{
	if (length >= mix->last)
		return mix->first;
	if (!mix->middle)
		return length + 1;
	return length < mix->middle ? mix->middle : mix->last;
}

void set_make(const struct mix *mix, uint8_t protocol, size_t n, uint32_t destinations,
	      struct isomer_binding *ret)
{
	unsigned int fixed = mix->domain == AF_INET ? 1 : 3, length = mix->last;
	uint64_t used[129] = { 0 };

	for (size_t i = 0; i < n; i++) {
		/* A short length has few prefixes; the longest takes what is left. */
		while (length - fixed < 40 && used[length] >= (uint64_t)1 << (length - fixed - 1))
			length = next_length(mix, length);
		ret[i] = (struct isomer_binding){
			.domain = mix->domain,
			.protocol = protocol,
			.prefixlen = (uint8_t)length,
			.destination = (uint32_t)(i % destinations),
		};
		put_prefix(mix->domain, length, used[length]++, ret[i].addr);
		put_ports(mix, i, &ret[i]);
		length = next_length(mix, length);
	}
}

/* The bits behind the prefix. */
static void fill(struct model_random *random, unsigned int from, unsigned int to, uint8_t *addr)
{
	for (unsigned int bit = from; bit < to; bit++)
		put_bits(addr, bit, 1, model_random(random, 2));
}

struct model_lookup set_target(struct model_random *random, const struct mix *mix,
			       const struct isomer_binding *set, size_t n, enum target_kind kind)
{
	const struct isomer_binding *b = &set[model_random(random, (uint32_t)n)];
	struct model_lookup l = { .domain = b->domain, .protocol = b->protocol };
	unsigned int bits = b->domain == AF_INET ? 32 : 128, length = b->prefixlen;

	l.port = b->port_first ? b->port_first : 80;
	memcpy(l.addr, b->addr, sizeof(l.addr));
	if (kind == TARGET_OUTSIDE) {
		/* Far or near, by chance. */
		length = model_random(random, length);
		for (unsigned int bit = length; bit < bits; bit++)
			l.addr[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	} else if (kind != TARGET_PORT) {
		l.port = FREE_PORT;
	}
	if (kind == TARGET_PORT && mix->ports == MIX_RANGES)
		l.port += model_random(random, b->port_last - b->port_first + 1u);
	fill(random, length, bits, l.addr);
	return l;
}
