/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "state/parse.h"

#define LEN(array) (sizeof(array) / sizeof(*(array)))

/* A copy without a NUL behind it, so that a sanitizer sees a parser that reads too far. */
static char *exact_copy(const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	return copy;
}

static int number(const char *text, uint64_t max, uint64_t *ret)
{
	char *copy = exact_copy(text, strlen(text));
	int r = isomer_parse_number(copy, strlen(text), max, ret);

	free(copy);
	return r;
}

static int ports(const char *text, struct isomer_ports *ret)
{
	char *copy = exact_copy(text, strlen(text));
	int r = isomer_parse_ports(copy, strlen(text), ret);

	free(copy);
	return r;
}

static int prefix(const char *text, struct isomer_prefix *ret, bool *ret_masked)
{
	char *copy = exact_copy(text, strlen(text));
	int r = isomer_parse_prefix(copy, strlen(text), ret, ret_masked);

	free(copy);
	return r;
}

static void numbers_are_plain_decimal(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		int expected;
		uint64_t value;
	} cases[] = {
		{ "0", 0, 0, 0 },
		{ "7", 10, 0, 7 },
		{ "10", 10, 0, 10 },
		{ "65535", 65535, 0, 65535 },
		{ "18446744073709551615", UINT64_MAX, 0, UINT64_MAX },
		{ "18446744073709551616", UINT64_MAX, -ERANGE, 0 },
		{ "99999999999999999999999999", UINT64_MAX, -ERANGE, 0 },
		{ "36893488147419103232", UINT64_MAX, -ERANGE, 0 }, /* 2^65: wraps to 0 */
		{ "11", 10, -ERANGE, 0 },
		{ "1", 0, -ERANGE, 0 },
		{ "", 10, -EINVAL, 0 },
		{ "00", 10, -EINVAL, 0 },
		{ "080", 100, -EINVAL, 0 },
		{ "+1", 10, -EINVAL, 0 },
		{ "-1", 10, -EINVAL, 0 },
		{ " 1", 10, -EINVAL, 0 },
		{ "1 ", 10, -EINVAL, 0 },
		{ "1\n", 10, -EINVAL, 0 },
		{ "0x1", 10, -EINVAL, 0 },
		{ "1a", 10, -EINVAL, 0 },
		{ "1.0", 10, -EINVAL, 0 },
		{ "99999999999999999999999999x", UINT64_MAX, -EINVAL, 0 },
		{ "\xb2", 10, -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		uint64_t value = 4242;
		int r = number(cases[i].text, cases[i].max, &value);

		if (r != cases[i].expected || value != (r == 0 ? cases[i].value : 4242))
			fail_msg("'%s': %d, value %llu", cases[i].text, r,
				 (unsigned long long)value);
	}
}

static void numbers_end_at_their_length(void **state)
{
	uint64_t value;

	(void)state;
	assert_int_equal(isomer_parse_number("123", 2, 99, &value), 0);
	assert_int_equal(value, 12);
	assert_int_equal(isomer_parse_number("1\0", 2, 99, &value), -EINVAL);
	assert_int_equal(isomer_parse_number(NULL, 0, 99, &value), -EINVAL);
}

static void ports_are_one_a_range_or_all(void **state)
{
	static const struct {
		const char *text;
		int expected;
		uint16_t first, last;
	} cases[] = {
		{ "80", 0, 80, 80 },
		{ "1", 0, 1, 1 },
		{ "65535", 0, 65535, 65535 },
		{ "0", 0, 0, 65535 },
		{ "80-80", 0, 80, 80 },
		{ "8000-8099", 0, 8000, 8099 },
		{ "1-65535", 0, 1, 65535 }, /* not all ports: 0 is missing */
		{ "65535-65535", 0, 65535, 65535 },
		{ "65536", -ERANGE, 0, 0 },
		{ "80-79", -ERANGE, 0, 0 },
		{ "0-80", -ERANGE, 0, 0 },
		{ "0-0", -ERANGE, 0, 0 },
		{ "0-65535", -ERANGE, 0, 0 },
		{ "1-65536", -ERANGE, 0, 0 },
		{ "65536-65537", -ERANGE, 0, 0 },
		{ "65536-80", -ERANGE, 0, 0 },
		{ "", -EINVAL, 0, 0 },
		{ "-", -EINVAL, 0, 0 },
		{ "80-", -EINVAL, 0, 0 },
		{ "-80", -EINVAL, 0, 0 },
		{ "70000-x", -EINVAL, 0, 0 },
		{ "80--90", -EINVAL, 0, 0 },
		{ "80-90-100", -EINVAL, 0, 0 },
		{ "080", -EINVAL, 0, 0 },
		{ "80-090", -EINVAL, 0, 0 },
		{ "80 -90", -EINVAL, 0, 0 },
		{ "80:90", -EINVAL, 0, 0 },
		{ "*", -EINVAL, 0, 0 },
		{ "http", -EINVAL, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		struct isomer_ports got = { 4242, 4243 };
		int r = ports(cases[i].text, &got);

		if (r != cases[i].expected || got.first != (r == 0 ? cases[i].first : 4242) ||
		    got.last != (r == 0 ? cases[i].last : 4243))
			fail_msg("'%s': %d, %u-%u", cases[i].text, r, got.first, got.last);
	}
	assert_int_equal(isomer_parse_ports(NULL, 0, NULL), -EINVAL);
}

static void protocols_and_domains_are_whole_lower_case_words(void **state)
{
	static const char *const wrong[] = { "",      "t",     "TCP",  "tcp ", " tcp", "tcpx",
					     "tc",    "icmp",  "6",    "ip",   "IPv4", "ipv5",
					     "ipv4 ", "ipv46", "inet", "tcp6" };
	uint8_t value;

	(void)state;
	assert_int_equal(isomer_parse_protocol("tcp", 3, &value), 0);
	assert_int_equal(value, IPPROTO_TCP);
	assert_int_equal(isomer_parse_protocol("udp:", 3, &value), 0);
	assert_int_equal(value, IPPROTO_UDP);
	assert_int_equal(isomer_parse_domain("ipv4", 4, &value), 0);
	assert_int_equal(value, AF_INET);
	assert_int_equal(isomer_parse_domain("ipv6-", 4, &value), 0);
	assert_int_equal(value, AF_INET6);

	value = 42;
	for (size_t i = 0; i < LEN(wrong); i++) {
		assert_int_equal(isomer_parse_protocol(wrong[i], strlen(wrong[i]), &value),
				 -EINVAL);
		assert_int_equal(isomer_parse_domain(wrong[i], strlen(wrong[i]), &value), -EINVAL);
	}
	assert_int_equal(isomer_parse_protocol("tcp\0", 4, &value), -EINVAL);
	assert_int_equal(isomer_parse_domain("ipv4\0", 5, &value), -EINVAL);
	assert_int_equal(value, 42);
}

static void names_are_what_the_parsers_read(void **state)
{
	(void)state;
	assert_string_equal(isomer_protocol_name(IPPROTO_TCP), "tcp");
	assert_string_equal(isomer_protocol_name(IPPROTO_UDP), "udp");
	assert_null(isomer_protocol_name(IPPROTO_ICMP));
	assert_null(isomer_protocol_name(0));
	assert_string_equal(isomer_domain_name(AF_INET), "ipv4");
	assert_string_equal(isomer_domain_name(AF_INET6), "ipv6");
	assert_null(isomer_domain_name(AF_UNIX));
	assert_null(isomer_domain_name(0));
}

static void prefixes_are_read_and_host_bits_cleared(void **state)
{
	static const struct {
		const char *text;
		uint8_t domain, len;
		bool masked;
		uint8_t addr[16];
	} cases[] = {
		{ "192.0.2.1", AF_INET, 32, false, { 192, 0, 2, 1 } },
		{ "192.0.2.1/32", AF_INET, 32, false, { 192, 0, 2, 1 } },
		{ "192.0.2.0/24", AF_INET, 24, false, { 192, 0, 2 } },
		{ "192.0.2.1/24", AF_INET, 24, true, { 192, 0, 2 } },
		{ "255.255.255.255/31", AF_INET, 31, true, { 255, 255, 255, 254 } },
		{ "10.255.0.0/9", AF_INET, 9, true, { 10, 128 } },
		{ "10.128.0.0/9", AF_INET, 9, false, { 10, 128 } },
		{ "128.0.0.0/1", AF_INET, 1, false, { 128 } },
		{ "0.0.0.0/0", AF_INET, 0, false, { 0 } },
		{ "1.2.3.4/0", AF_INET, 0, true, { 0 } },
		{ "::1", AF_INET6, 128, false, { [15] = 1 } },
		{ "::/0", AF_INET6, 0, false, { 0 } },
		{ "::1/0", AF_INET6, 0, true, { 0 } },
		{ "2001:db8::/32", AF_INET6, 32, false, { 0x20, 0x01, 0x0d, 0xb8 } },
		{ "2001:DB8::/32", AF_INET6, 32, false, { 0x20, 0x01, 0x0d, 0xb8 } },
		{ "2001:db8::1/32", AF_INET6, 32, true, { 0x20, 0x01, 0x0d, 0xb8 } },
		{ "2001:db8:ffff::/33", AF_INET6, 33, true, { 0x20, 0x01, 0x0d, 0xb8, 0x80 } },
		{ "fe80::1", AF_INET6, 128, false, { 0xfe, 0x80, [15] = 1 } },
		{ "64:ff9b::192.0.2.1",
		  AF_INET6,
		  128,
		  false,
		  { 0, 0x64, 0xff, 0x9b, [12] = 192, 0, 2, 1 } },
		{ "::192.0.2.1/128", AF_INET6, 128, false, { [12] = 192, 0, 2, 1 } },
		/* Wider than the IPv4-mapped space. */
		{ "::ffff:0:0/95", AF_INET6, 95, true, { [10] = 0xff, 0xfe } },
		{ "::ffff:192.0.2.1/80", AF_INET6, 80, true, { 0 } },
		/* Looks like it, but is not. */
		{ "0:0:0:0:ffff:0:c000:201",
		  AF_INET6,
		  128,
		  false,
		  { [8] = 0xff, 0xff, 0, 0, 192, 0, 2, 1 } },
		{ "0000:0000:0000:0000:0001:ffff:255.255.255.255",
		  AF_INET6,
		  128,
		  false,
		  { [9] = 1, 0xff, 0xff, 255, 255, 255, 255 } },
	};

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		struct isomer_prefix got, expected = { cases[i].domain, cases[i].len };
		bool masked = !cases[i].masked;
		int r;

		memcpy(expected.addr, cases[i].addr, sizeof(expected.addr));
		r = prefix(cases[i].text, &got, &masked);
		if (r != 0 || memcmp(&got, &expected, sizeof(got)) != 0 ||
		    masked != cases[i].masked)
			fail_msg("'%s': %d, /%u", cases[i].text, r, got.len);
		assert_int_equal(prefix(cases[i].text, &got, NULL), 0);
	}
}

static void malformed_prefixes_are_refused(void **state)
{
	static const struct {
		const char *text;
		int expected;
	} cases[] = {
		{ "", -EINVAL },
		{ "/", -EINVAL },
		{ "/8", -EINVAL },
		{ "10.0.0.0/", -EINVAL },
		{ "10.0.0.0/8/8", -EINVAL },
		{ "10.0.0.0/08", -EINVAL },
		{ "10.0.0.0/-1", -EINVAL },
		{ "10.0.0.0/+8", -EINVAL },
		{ "10.0.0.0/8 ", -EINVAL },
		{ "10.0.0.0 /8", -EINVAL },
		{ " 10.0.0.0/8", -EINVAL },
		{ "10.0.0.0/255.0.0.0", -EINVAL },
		{ "10.0.0.0/33", -ERANGE },
		{ "10.0.0.0/99999999999999999999", -ERANGE },
		{ "::/129", -ERANGE },
		{ "10/8", -EINVAL },
		{ "10.0.0", -EINVAL },
		{ "10.0.0.256", -EINVAL },
		{ "010.0.0.1", -EINVAL }, /* octal for some, decimal for others */
		{ "0x0a.0.0.1", -EINVAL },
		{ "10.0.0.1.", -EINVAL },
		{ "1.2.3.4.5", -EINVAL },
		{ "::1::", -EINVAL },
		{ ":", -EINVAL },
		{ ":::", -EINVAL },
		{ "12345::", -EINVAL },
		{ "1:2:3:4:5:6:7:8:9", -EINVAL },
		{ "[::1]", -EINVAL },
		{ "fe80::1%lo", -EINVAL },
		{ "fe80::1%1/128", -EINVAL },
		{ "fe80::/10%lo", -EINVAL },
		{ "localhost", -EINVAL },
		{ "*", -EINVAL },
		{ "0000:0000:0000:0000:0000:0001:255.255.255.2555", -EINVAL }, /* 46 bytes */
		{ "::ffff:192.0.2.1", -EAFNOSUPPORT },
		{ "::ffff:c000:201/128", -EAFNOSUPPORT },
		{ "::ffff:0:0/96", -EAFNOSUPPORT },
		{ "::FFFF:10.0.0.0/104", -EAFNOSUPPORT },
	};

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		struct isomer_prefix got, before;
		bool masked = true;
		int r;

		memset(&before, 0xa5, sizeof(before));
		got = before;
		r = prefix(cases[i].text, &got, &masked);
		if (r != cases[i].expected)
			fail_msg("'%s': %d", cases[i].text, r);
		assert_memory_equal(&got, &before, sizeof(got));
		assert_true(masked);
	}
}

static void prefixes_end_at_their_length(void **state)
{
	struct isomer_prefix got;

	(void)state;
	assert_int_equal(isomer_parse_prefix("10.0.0.0/16", 10, &got, NULL), 0);
	assert_int_equal(got.len, 1);
	assert_int_equal(isomer_parse_prefix("10.0.0.0\0", 9, &got, NULL), -EINVAL);
	assert_int_equal(isomer_parse_prefix("10.0.0.0\0/8", 11, &got, NULL), -EINVAL);
	assert_int_equal(isomer_parse_prefix("10.0.0.0/8\0", 11, &got, NULL), -EINVAL);
	assert_int_equal(isomer_parse_prefix(NULL, 0, &got, NULL), -EINVAL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_plain_decimal),
		cmocka_unit_test(numbers_end_at_their_length),
		cmocka_unit_test(ports_are_one_a_range_or_all),
		cmocka_unit_test(protocols_and_domains_are_whole_lower_case_words),
		cmocka_unit_test(names_are_what_the_parsers_read),
		cmocka_unit_test(prefixes_are_read_and_host_bits_cleared),
		cmocka_unit_test(malformed_prefixes_are_refused),
		cmocka_unit_test(prefixes_end_at_their_length),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
