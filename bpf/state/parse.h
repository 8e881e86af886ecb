/* SPDX-License-Identifier: BSD-3-Clause */
/* The one parser of operands: of the loader's command line and of ISOMER_RULES.
 *
 * Every parser reads @len bytes at @text to the last one, allocates nothing, returns 0, -EINVAL
 * for a malformed text or -ERANGE for a number that is out of range, and leaves the output
 * untouched on failure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Decimal digits only: no sign, no space, no leading zero before another digit. */
int isomer_parse_number(const char *text, size_t len, uint64_t max, uint64_t *ret);

struct isomer_ports {
	uint16_t first, last; /* 0-65535 is all ports */
};

/** A port, "a-b" with 1 <= a <= b, or 0 for all ports. -ERANGE for a range that runs backwards. */
int isomer_parse_ports(const char *text, size_t len, struct isomer_ports *ret);

/** "tcp" or "udp", as IPPROTO_TCP or IPPROTO_UDP. */
int isomer_parse_protocol(const char *text, size_t len, uint8_t *ret);

/** "ipv4" or "ipv6", as AF_INET or AF_INET6. */
int isomer_parse_domain(const char *text, size_t len, uint8_t *ret);

struct isomer_prefix {
	uint8_t domain; /* AF_INET or AF_INET6 */
	uint8_t len;
	uint8_t addr[16]; /* network order, IPv4 in the first four bytes, host bits 0 */
};

/**
 * ADDRESS or ADDRESS/LEN. Host bits are cleared; @ret_masked (may be NULL) says if any was set.
 * Zone identifiers are refused. An IPv4-mapped IPv6 address is -EAFNOSUPPORT: it never appears on
 * the wire, and IPv4 traffic belongs to IPv4 prefixes.
 */
int isomer_parse_prefix(const char *text, size_t len, struct isomer_prefix *ret, bool *ret_masked);

/* "tcp", "ipv4" and so on; NULL for anything else. */
const char *isomer_protocol_name(uint8_t protocol);
const char *isomer_domain_name(uint8_t domain);
