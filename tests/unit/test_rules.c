/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "state/rules.h"

#define LEN(array) (sizeof(array) / sizeof(*(array)))

static struct isomer_rules rules; /* too big for a stack */

static void parse(const char *text)
{
	struct isomer_rules_mistake m;

	if (isomer_rules_parse(text, &rules, &m) != 0)
		fail_msg("'%s': rule %u, '%.*s': %s", text, m.rule, (int)m.len, m.text, m.what);
}

static struct isomer_socket socket_on(uint8_t protocol, const char *ip, uint16_t port)
{
	struct isomer_socket s = { .protocol = protocol, .port = port };
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&s.local;
	struct sockaddr_in *in = (struct sockaddr_in *)&s.local;

	if (inet_pton(AF_INET, ip, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
	} else {
		assert_int_equal(inet_pton(AF_INET6, ip, &in6->sin6_addr), 1);
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
	}
	return s;
}

/* Number of the rule that decides about a socket, from 1; 0 when none does. */
static unsigned decides(uint8_t protocol, const char *ip, uint16_t port)
{
	struct isomer_socket s = socket_on(protocol, ip, port);
	const struct isomer_rule *rule = isomer_rules_match(&rules, &s);

	return rule ? (unsigned)(rule - rules.rule) + 1 : 0;
}

static void rules_of_the_manual_are_read(void **state)
{
	(void)state;
	parse("web=tcp:*:80;tls=tcp:*:443;-=tcp:127.0.0.1:*");
	assert_int_equal(rules.n, 3);
	assert_string_equal(rules.rule[0].label, "web");
	assert_string_equal(rules.rule[1].label, "tls");
	assert_null(rules.rule[2].label);

	assert_int_equal(decides(IPPROTO_TCP, "127.0.0.1", 80), 1);
	assert_int_equal(decides(IPPROTO_TCP, "0.0.0.0", 443), 2);
	assert_int_equal(decides(IPPROTO_TCP, "127.0.0.1", 8080), 3);
	assert_int_equal(decides(IPPROTO_TCP, "0.0.0.0", 8080), 0);
	assert_int_equal(decides(IPPROTO_UDP, "127.0.0.1", 80), 0);
}

static void the_first_match_wins(void **state)
{
	(void)state;
	parse("-=tcp:127.0.0.1:80;a=tcp:127.0.0.0/8:*;b=tcp:127.0.0.1:80;c=*:*:*");
	assert_int_equal(decides(IPPROTO_TCP, "127.0.0.1", 80), 1);
	assert_int_equal(decides(IPPROTO_TCP, "127.0.0.1", 81), 2);
	assert_int_equal(decides(IPPROTO_TCP, "127.0.0.2", 80), 2);
	assert_int_equal(decides(IPPROTO_UDP, "127.0.0.1", 80), 4);
}

static void every_label_may_stand_in_a_rule(void **state)
{
	(void)state;
	parse("a:b=tcp:*:1;x@y.z+1_-=udp:*:2;--=tcp:*:3;a-=tcp:*:4");
	assert_string_equal(rules.rule[0].label, "a:b");
	assert_string_equal(rules.rule[1].label, "x@y.z+1_-");
	assert_string_equal(rules.rule[2].label, "--");
	assert_string_equal(rules.rule[3].label, "a-");
}

static void protocols_match(void **state)
{
	(void)state;
	parse("a=tcp:*:1;b=udp:*:1;c=*:*:2");
	assert_int_equal(decides(IPPROTO_TCP, "::1", 1), 1);
	assert_int_equal(decides(IPPROTO_UDP, "::1", 1), 2);
	assert_int_equal(decides(IPPROTO_TCP, "::1", 2), 3);
	assert_int_equal(decides(IPPROTO_UDP, "::1", 2), 3);
}

static void ports_match_alone_in_a_range_or_all(void **state)
{
	(void)state;
	parse("a=*:*:80;b=*:*:8000-8010;c=*:*:1-65535;d=*:*:0");
	assert_int_equal(decides(IPPROTO_TCP, "::", 80), 1);
	assert_int_equal(decides(IPPROTO_TCP, "::", 7999), 3);
	assert_int_equal(decides(IPPROTO_TCP, "::", 8000), 2);
	assert_int_equal(decides(IPPROTO_TCP, "::", 8010), 2);
	assert_int_equal(decides(IPPROTO_TCP, "::", 8011), 3);
	assert_int_equal(decides(IPPROTO_TCP, "::", 65535), 3);
	assert_int_equal(decides(IPPROTO_TCP, "::", 0), 4); /* listen() is going to choose one */
}

static void addresses_match_alone_or_by_prefix(void **state)
{
	(void)state;
	parse("a=*:10.1.2.3:*;b=*:10.1.2.64/26:*;c=*:10.0.0.0/9:*;"
	      "d=*:[2001:db8::1]:*;e=*:[2001:db8:0:8000::]/49:*;f=*:[2001:db8::/32]:*");
	assert_int_equal(decides(IPPROTO_TCP, "10.1.2.3", 1), 1);
	assert_int_equal(decides(IPPROTO_TCP, "10.1.2.2", 1), 3);
	assert_int_equal(decides(IPPROTO_TCP, "10.1.2.63", 1), 3);
	assert_int_equal(decides(IPPROTO_TCP, "10.1.2.64", 1), 2);
	assert_int_equal(decides(IPPROTO_TCP, "10.1.2.127", 1), 2);
	assert_int_equal(decides(IPPROTO_TCP, "10.1.2.128", 1), 3);
	assert_int_equal(decides(IPPROTO_TCP, "10.127.0.1", 1), 3);
	assert_int_equal(decides(IPPROTO_TCP, "10.128.0.1", 1), 0);
	assert_int_equal(decides(IPPROTO_TCP, "2001:db8::1", 1), 4);
	assert_int_equal(decides(IPPROTO_TCP, "2001:db8:0:8000::1", 1), 5);
	assert_int_equal(decides(IPPROTO_TCP, "2001:db8:0:7fff::1", 1), 6);
	assert_int_equal(decides(IPPROTO_TCP, "2001:db9::", 1), 0);
	/* The first bytes of the other family's address. */
	assert_int_equal(decides(IPPROTO_TCP, "a01:203::", 1), 0);
	assert_int_equal(decides(IPPROTO_TCP, "32.1.13.184", 1), 0);
}

static void host_bits_do_not_count(void **state)
{
	(void)state;
	parse("a=tcp:10.1.2.3/8:*;b=tcp:[2001:db8::1]/32:*");
	assert_int_equal(decides(IPPROTO_TCP, "10.200.0.1", 1), 1);
	assert_int_equal(decides(IPPROTO_TCP, "2001:db8:1::", 1), 2);
}

static void wildcard_sockets_match_what_contains_their_address(void **state)
{
	(void)state;
	parse("a=tcp:127.0.0.1:*;b=tcp:127.0.0.0/8:*;c=tcp:[::1]:*;"
	      "d=tcp:0.0.0.0:1;e=tcp:0.0.0.0/0:2;f=tcp:[::]:1;g=tcp:[::]/0:2;h=tcp:*:3");
	assert_int_equal(decides(IPPROTO_TCP, "0.0.0.0", 1), 4);
	assert_int_equal(decides(IPPROTO_TCP, "0.0.0.0", 2), 5);
	assert_int_equal(decides(IPPROTO_TCP, "::", 1), 6);
	assert_int_equal(decides(IPPROTO_TCP, "::", 2), 7);
	assert_int_equal(decides(IPPROTO_TCP, "0.0.0.0", 3), 8);
	assert_int_equal(decides(IPPROTO_TCP, "::", 3), 8);
	assert_int_equal(decides(IPPROTO_TCP, "0.0.0.0", 4), 0);
	assert_int_equal(decides(IPPROTO_TCP, "10.0.0.1", 2), 5);
	assert_int_equal(decides(IPPROTO_TCP, "10.0.0.1", 1), 0);
}

static void mapped_sockets_count_as_ipv4(void **state)
{
	(void)state;
	parse("a=tcp:[::]/0:80;b=tcp:10.0.0.1:*");
	assert_int_equal(decides(IPPROTO_TCP, "::ffff:10.0.0.1", 80), 2);
	assert_int_equal(decides(IPPROTO_TCP, "::ffff:10.0.0.2", 80), 0);
}

static void spaces_and_empty_rules_are_skipped(void **state)
{
	(void)state;
	parse("");
	assert_int_equal(rules.n, 0);
	assert_int_equal(decides(IPPROTO_TCP, "::", 1), 0);
	parse(" ;\n;\t; ");
	assert_int_equal(rules.n, 0);
	parse("\n  a=tcp:*:1 ;\r\n\tb=tcp:*:2;\n");
	assert_int_equal(rules.n, 2);
	assert_string_equal(rules.rule[0].label, "a");
	assert_string_equal(rules.rule[1].label, "b");
	assert_int_equal(decides(IPPROTO_TCP, "::", 2), 2);
}

static void mistakes_are_named(void **state)
{
	static const struct {
		const char *text;
		unsigned rule;
		const char *culprit, *what; /* part of what is said */
	} cases[] = {
		{ "web", 1, "web", "'='" },
		{ "web:tcp:*:80", 1, "web:tcp:*:80", "'='" },
		{ "=tcp:*:80", 1, "=tcp:*:80", "label" },
		{ "we b=tcp:*:80", 1, "we b=tcp:*:80", "label" },
		{ "web =tcp:*:80", 1, "web =tcp:*:80", "label" },
		{ "*=tcp:*:80", 1, "*=tcp:*:80", "label" },
		{ "w\xc3\xa9=tcp:*:80", 1, "w\xc3\xa9=tcp:*:80", "label" },
		{ "web=", 1, "web=", "LABEL=PROTOCOL:ADDRESS:PORT" },
		{ "web=tcp", 1, "web=tcp", "LABEL=PROTOCOL:ADDRESS:PORT" },
		{ "web=tcp:", 1, "web=tcp:", "LABEL=PROTOCOL:ADDRESS:PORT" },
		{ "web=tcp:80", 1, "web=tcp:80", "LABEL=PROTOCOL:ADDRESS:PORT" },
		{ "web=tcp:*", 1, "web=tcp:*", "LABEL=PROTOCOL:ADDRESS:PORT" },
		{ "web=TCP:*:80", 1, "web=TCP:*:80", "protocol" },
		{ "web=:*:80", 1, "web=:*:80", "protocol" },
		{ "web=tcp :*:80", 1, "web=tcp :*:80", "protocol" },
		{ "web=**:*:80", 1, "web=**:*:80", "protocol" },
		{ "web=web=tcp:*:80", 1, "web=web=tcp:*:80", "protocol" },
		{ "web=tcp::80", 1, "web=tcp::80", "address" },
		{ "web=tcp:10.0.0:80", 1, "web=tcp:10.0.0:80", "address" },
		{ "web=tcp:10.0.0.0/33:80", 1, "web=tcp:10.0.0.0/33:80", "longer" },
		{ "web=tcp:10.0.0.0/:80", 1, "web=tcp:10.0.0.0/:80", "address" },
		{ "web=tcp:*/8:80", 1, "web=tcp:*/8:80", "address" },
		{ "web=tcp:localhost:80", 1, "web=tcp:localhost:80", "address" },
		{ "web=tcp:::1:80", 1, "web=tcp:::1:80", "brackets" },
		{ "web=tcp:2001:db8::1:80", 1, "web=tcp:2001:db8::1:80", "brackets" },
		{ "web=tcp:*:80:81", 1, "web=tcp:*:80:81", "brackets" },
		{ "web=tcp:[::1:80", 1, "web=tcp:[::1:80", "']'" },
		{ "web=tcp:[::1]", 1, "web=tcp:[::1]", "port" },
		{ "web=tcp:[::1]80", 1, "web=tcp:[::1]80", "port" },
		{ "web=tcp:[::1]80:80", 1, "web=tcp:[::1]80:80", "address" },
		{ "web=tcp:[::1]/129:80", 1, "web=tcp:[::1]/129:80", "longer" },
		{ "web=tcp:[::/32]/32:80", 1, "web=tcp:[::/32]/32:80", "address" },
		{ "web=tcp:[]:80", 1, "web=tcp:[]:80", "address" },
		{ "web=tcp:[*]:80", 1, "web=tcp:[*]:80", "address" },
		{ "web=tcp:[10.0.0.1]:80", 1, "web=tcp:[10.0.0.1]:80", "brackets" },
		{ "web=tcp:[fe80::1%lo]:80", 1, "web=tcp:[fe80::1%lo]:80", "address" },
		{ "web=tcp:[::ffff:10.0.0.1]:80", 1, "web=tcp:[::ffff:10.0.0.1]:80", "mapped" },
		{ "web=tcp:[0000000000000000000000000000000000000000000000000000000000000::]:80", 1,
		  "web=tcp:[0000000000000000000000000000000000000000000000000000000000000::]:80",
		  "address" },
		{ "web=tcp:*:", 1, "web=tcp:*:", "port" },
		{ "web=tcp:*:080", 1, "web=tcp:*:080", "port" },
		{ "web=tcp:*:80x", 1, "web=tcp:*:80x", "port" },
		{ "web=tcp:*:http", 1, "web=tcp:*:http", "port" },
		{ "web=tcp:*:80-", 1, "web=tcp:*:80-", "port" },
		{ "web=tcp:*:80,81", 1, "web=tcp:*:80,81", "port" },
		{ "web=tcp:*:65536", 1, "web=tcp:*:65536", "65535" },
		{ "web=tcp:*:81-80", 1, "web=tcp:*:81-80", "lower" },
		{ "web=tcp:*:0-80", 1, "web=tcp:*:0-80", "1 to" },
		{ "a=tcp:*:1; b=tcp:*:x ;c=tcp:*:2", 2, "b=tcp:*:x", "port" },
		{ "a=tcp:*:1;;c=tcp:*:2;d", 4, "d", "'='" },
	};

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		struct isomer_rules_mistake m = { .rule = 4242 };

		if (isomer_rules_parse(cases[i].text, &rules, &m) != -EINVAL)
			fail_msg("'%s' was taken", cases[i].text);
		if (m.rule != cases[i].rule || m.len != strlen(cases[i].culprit) ||
		    memcmp(m.text, cases[i].culprit, m.len) != 0 || !strstr(m.what, cases[i].what))
			fail_msg("'%s': rule %u, '%.*s': %s", cases[i].text, m.rule, (int)m.len,
				 m.text, m.what);
	}
}

static void a_label_too_long_is_refused(void **state)
{
	char label[257], text[300];
	struct isomer_rules_mistake m;

	(void)state;
	memset(label, 'a', 256);
	label[256] = '\0';
	snprintf(text, sizeof(text), "%s=tcp:*:1", label + 1);
	parse(text);
	assert_string_equal(rules.rule[0].label, label + 1);
	snprintf(text, sizeof(text), "%s=tcp:*:1", label);
	assert_int_equal(isomer_rules_parse(text, &rules, &m), -EINVAL);
	assert_int_equal(m.rule, 1);
}

/* @n rules for the ports 1 to @n. */
static char *many_rules(unsigned n)
{
	size_t size = n * 16 + 1, len = 0;
	char *text = calloc(1, size);

	assert_non_null(text);
	for (unsigned i = 1; i <= n; i++)
		len += (size_t)snprintf(text + len, size - len, "a=tcp:*:%u;", i);
	return text;
}

static void there_may_be_256_rules(void **state)
{
	char *text = many_rules(ISOMER_RULES_MAX);
	struct isomer_rules_mistake m;

	(void)state;
	parse(text);
	assert_int_equal(rules.n, ISOMER_RULES_MAX);
	assert_int_equal(decides(IPPROTO_TCP, "::", ISOMER_RULES_MAX), ISOMER_RULES_MAX);
	free(text);

	text = many_rules(ISOMER_RULES_MAX + 1);
	assert_int_equal(isomer_rules_parse(text, &rules, &m), -EINVAL);
	assert_int_equal(m.rule, 0);
	assert_non_null(strstr(m.what, "256"));
	free(text);
}

static void there_may_be_16383_bytes(void **state)
{
	char *text = malloc(ISOMER_RULES_TEXT_SIZE + 1);
	struct isomer_rules_mistake m;

	(void)state;
	assert_non_null(text);
	memset(text, ' ', ISOMER_RULES_TEXT_SIZE);
	memcpy(text, "a=tcp:*:1", 9);
	text[ISOMER_RULES_TEXT_SIZE - 1] = '\0';
	parse(text);
	assert_int_equal(rules.n, 1);

	text[ISOMER_RULES_TEXT_SIZE - 1] = ' ';
	text[ISOMER_RULES_TEXT_SIZE] = '\0';
	assert_int_equal(isomer_rules_parse(text, &rules, &m), -EINVAL);
	assert_int_equal(m.rule, 0);
	assert_non_null(strstr(m.what, "16383"));
	free(text);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_of_the_manual_are_read),
		cmocka_unit_test(the_first_match_wins),
		cmocka_unit_test(every_label_may_stand_in_a_rule),
		cmocka_unit_test(protocols_match),
		cmocka_unit_test(ports_match_alone_in_a_range_or_all),
		cmocka_unit_test(addresses_match_alone_or_by_prefix),
		cmocka_unit_test(host_bits_do_not_count),
		cmocka_unit_test(wildcard_sockets_match_what_contains_their_address),
		cmocka_unit_test(mapped_sockets_count_as_ipv4),
		cmocka_unit_test(spaces_and_empty_rules_are_skipped),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(a_label_too_long_is_refused),
		cmocka_unit_test(there_may_be_256_rules),
		cmocka_unit_test(there_may_be_16383_bytes),
	};

	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
