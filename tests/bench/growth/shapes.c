/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/growth/shapes.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* Spread over 10.0.0.0/8: an odd factor permutes the numbers of 24 bits. */
static struct isomer_binding ipv4_host(size_t i)
{
	struct in_addr addr = { htonl(0x0a000000 | ((uint32_t)i * 0x9e3779b1 & 0xffffff)) };
	struct isomer_binding b = {
		.domain = AF_INET,
		.protocol = IPPROTO_TCP,
		.prefixlen = 32,
		.port_first = 80,
		.port_last = 80,
	};

	memcpy(b.addr, &addr, sizeof(addr));
	return b;
}

static struct isomer_binding ipv6_host(size_t i)
{
	const uint32_t words[] = { htonl(0x20010db8), htonl((uint32_t)i * 0x9e3779b1), 0,
				   htonl((uint32_t)i) };
	struct isomer_binding b = {
		.domain = AF_INET6,
		.protocol = IPPROTO_TCP,
		.prefixlen = 128,
		.port_first = 80,
		.port_last = 80,
	};

	memcpy(b.addr, words, sizeof(words));
	return b;
}

/* Port 30000 is in all of them. */
static struct isomer_binding range_over_one_port(size_t i)
{
	struct isomer_binding b = ipv4_host(i);

	b.port_first = 30000 - i % 29999;
	b.port_last = 30000 + i * 7 % 35000;
	return b;
}

/* From one address to all of them, for one range of ports after the other. */
static struct isomer_binding nested(size_t i)
{
	unsigned int length = 128 - i % 129, range = (unsigned int)(i / 129);
	struct isomer_binding b = {
		.domain = AF_INET6,
		.protocol = IPPROTO_TCP,
		.prefixlen = (uint8_t)length,
		.port_first = 80 + range,
		.port_last = 90 + range,
	};

	memset(b.addr, 0xff, length / 8);
	if (length % 8)
		b.addr[length / 8] = (uint8_t)(0xff00 >> length % 8);
	return b;
}

const struct shape shapes[SHAPES] = {
	{ "/32, one port", ipv4_host },
	{ "/128, one port", ipv6_host },
	{ "ranges over one port", range_over_one_port },
	{ "nested prefixes", nested },
};
