/* SPDX-License-Identifier: BSD-3-Clause */
#include "state/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static bool is_word(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(text, word, len) == 0;
}

int isomer_parse_number(const char *text, size_t len, uint64_t max, uint64_t *ret)
{
	bool too_big = false;
	uint64_t value = 0;

	if (len == 0 || (len > 1 && text[0] == '0'))
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		unsigned digit = (unsigned char)text[i] - '0';

		if (digit > 9)
			return -EINVAL; /* even behind a number that is too big */
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			too_big = true;
	}
	if (too_big || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

static int parse_range(const char *text, size_t len, size_t dash, struct isomer_ports *ret)
{
	uint64_t first, last;
	int r, r_last;

	/* Both, so that a malformed end is told before a start that is out of range. */
	r = isomer_parse_number(text, dash, UINT16_MAX, &first);
	r_last = isomer_parse_number(text + dash + 1, len - dash - 1, UINT16_MAX, &last);
	if (r == -EINVAL || r_last == -EINVAL)
		return -EINVAL;
	if (r < 0 || r_last < 0 || first == 0 || first > last)
		return -ERANGE;
	*ret = (struct isomer_ports){ .first = first, .last = last };
	return 0;
}

int isomer_parse_ports(const char *text, size_t len, struct isomer_ports *ret)
{
	const char *dash = len ? memchr(text, '-', len) : NULL;
	uint64_t port;
	int r;

	if (dash)
		return parse_range(text, len, dash - text, ret);
	r = isomer_parse_number(text, len, UINT16_MAX, &port);
	if (r < 0)
		return r;
	*ret = (struct isomer_ports){ .first = port, .last = port == 0 ? UINT16_MAX : port };
	return 0;
}

int isomer_parse_protocol(const char *text, size_t len, uint8_t *ret)
{
	if (is_word(text, len, "tcp"))
		*ret = IPPROTO_TCP;
	else if (is_word(text, len, "udp"))
		*ret = IPPROTO_UDP;
	else
		return -EINVAL;
	return 0;
}

int isomer_parse_domain(const char *text, size_t len, uint8_t *ret)
{
	if (is_word(text, len, "ipv4"))
		*ret = AF_INET;
	else if (is_word(text, len, "ipv6"))
		*ret = AF_INET6;
	else
		return -EINVAL;
	return 0;
}

/* Reads an address into @prefix and makes it a prefix of full length. */
static int parse_address(const char *text, size_t len, struct isomer_prefix *prefix)
{
	char copy[INET6_ADDRSTRLEN];

	/* A NUL inside would hide the rest from inet_pton(). */
	if (len == 0 || len >= sizeof(copy) || memchr(text, '\0', len))
		return -EINVAL;
	memcpy(copy, text, len);
	copy[len] = '\0';

	*prefix = (struct isomer_prefix){ 0 };
	if (inet_pton(AF_INET, copy, prefix->addr) == 1) {
		prefix->domain = AF_INET;
		prefix->len = 32;
	} else if (inet_pton(AF_INET6, copy, prefix->addr) == 1) {
		prefix->domain = AF_INET6;
		prefix->len = 128;
	} else {
		return -EINVAL;
	}
	return 0;
}

/* Clears the bits behind the prefix; was any of them set? */
static bool clear_host_bits(struct isomer_prefix *prefix)
{
	bool masked = false;

	for (unsigned i = 0; i < sizeof(prefix->addr); i++) {
		unsigned bits = prefix->len > i * 8 ? prefix->len - i * 8 : 0;
		uint8_t mask = bits >= 8 ? 0xff : (uint8_t)(0xff00 >> bits);

		masked = masked || (prefix->addr[i] & ~mask & 0xff);
		prefix->addr[i] &= mask;
	}
	return masked;
}

static bool is_ipv4_mapped(const struct isomer_prefix *prefix)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return prefix->domain == AF_INET6 && prefix->len >= 96 &&
	       memcmp(prefix->addr, mapped, sizeof(mapped)) == 0;
}

int isomer_parse_prefix(const char *text, size_t len, struct isomer_prefix *ret, bool *ret_masked)
{
	const char *slash = len ? memchr(text, '/', len) : NULL;
	size_t address_len = slash ? (size_t)(slash - text) : len;
	struct isomer_prefix prefix;
	bool masked;
	int r;

	r = parse_address(text, address_len, &prefix);
	if (r < 0)
		return r;
	if (slash) {
		uint64_t bits;

		r = isomer_parse_number(slash + 1, len - address_len - 1, prefix.len, &bits);
		if (r < 0)
			return r;
		prefix.len = bits;
	}
	masked = clear_host_bits(&prefix);
	if (is_ipv4_mapped(&prefix))
		return -EAFNOSUPPORT;

	*ret = prefix;
	if (ret_masked)
		*ret_masked = masked;
	return 0;
}

const char *isomer_protocol_name(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	default:
		return NULL;
	}
}

const char *isomer_domain_name(uint8_t domain)
{
	switch (domain) {
	case AF_INET:
		return "ipv4";
	case AF_INET6:
		return "ipv6";
	default:
		return NULL;
	}
}
