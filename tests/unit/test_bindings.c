/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
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

#include "loader/bindings.h"
#include "state/cleanup.h"
#include "support/ruleset_model.h"

#define LEN(array) (sizeof(array) / sizeof(*(array)))

static struct isomer_binding binding(uint8_t protocol, const char *ip, uint8_t prefixlen,
				     uint16_t first, uint16_t last)
{
	struct isomer_binding b = {
		.domain = strchr(ip, ':') ? AF_INET6 : AF_INET,
		.protocol = protocol,
		.prefixlen = prefixlen,
		.port_first = first,
		.port_last = last,
	};

	assert_int_equal(inet_pton(b.domain, ip, b.addr), 1);
	return b;
}

#define TCP IPPROTO_TCP
#define UDP IPPROTO_UDP

/* In the order of bindings_sort(): what is preferred comes first, of one protocol and family. */
#define SORTED                                                                                     \
	{                                                                                          \
		binding(TCP, "10.0.0.1", 32, 80, 80), binding(TCP, "10.0.0.2", 32, 80, 80),        \
			binding(TCP, "10.0.0.1", 32, 79, 79), binding(TCP, "10.0.0.1", 32, 1, 1),  \
			binding(TCP, "10.0.0.1", 32, 80, 81),                                      \
			binding(TCP, "10.0.0.1", 32, 79, 80),                                      \
			binding(TCP, "10.0.0.1", 32, 1, 65535),                                    \
			binding(TCP, "10.0.0.1", 32, 0, 65535),                                    \
			binding(TCP, "10.0.0.0", 31, 80, 80), binding(TCP, "10.0.0.0", 8, 80, 80), \
			binding(TCP, "0.0.0.0", 0, 80, 80), binding(TCP, "0.0.0.0", 0, 0, 65535),  \
			binding(TCP, "::1", 128, 80, 80),                                          \
			binding(TCP, "2001:db8::", 32, 1, 65535), binding(TCP, "::", 0, 80, 80),   \
			binding(UDP, "10.0.0.1", 32, 80, 80),                                      \
			binding(UDP, "0.0.0.0", 0, 0, 65535), binding(UDP, "::1", 128, 80, 80),    \
	}

static void shuffle(struct isomer_binding *entries, size_t n, struct model_random *random)
{
	for (size_t i = n; i > 1; i--) {
		size_t j = model_random(random, (uint32_t)i);
		struct isomer_binding swapped = entries[i - 1];

		entries[i - 1] = entries[j];
		entries[j] = swapped;
	}
}

static void bindings_are_sorted_by_preference(void **state)
{
	const struct isomer_binding sorted[] = SORTED;
	struct model_random random = model_random_make(7);
	struct isomer_binding entries[LEN(sorted)];
	struct bindings set = { .entries = entries, .n = LEN(sorted) };

	(void)state;
	for (int round = 0; round < 100; round++) {
		memcpy(entries, sorted, sizeof(entries));
		shuffle(entries, LEN(entries), &random);
		bindings_sort(&set);
		assert_memory_equal(entries, sorted, sizeof(sorted));
	}
}

static void the_order_has_no_loops(void **state)
{
	const struct isomer_binding sorted[] = SORTED;

	(void)state;
	for (size_t i = 0; i < LEN(sorted); i++) {
		for (size_t j = 0; j < LEN(sorted); j++) {
			int order = bindings_compare(&sorted[i], &sorted[j]);

			assert_true(i < j ? order < 0 : i > j ? order > 0 : order == 0);
			assert_int_equal(bindings_same_traffic(&sorted[i], &sorted[j]), i == j);
		}
	}
}

/* Where the traffic goes is no part of what it is. */
static void destination_and_miss_policy_do_not_tell_bindings_apart(void **state)
{
	struct isomer_binding a = binding(TCP, "10.0.0.1", 32, 80, 80), b = a;

	(void)state;
	b.destination = 7;
	b.miss = ISOMER_MISS_PASS;
	assert_true(bindings_same_traffic(&a, &b));
	assert_int_equal(bindings_compare(&a, &b), 0);
}

static void every_binding_is_found_and_no_other(void **state)
{
	const struct isomer_binding sorted[] = SORTED;
	CLEANUP(bindings_done) struct bindings set = BINDINGS_NONE;

	(void)state;
	for (size_t i = 0; i < LEN(sorted); i++) {
		assert_int_equal(bindings_find(&set, &sorted[i]), -1);
		assert_int_equal(bindings_add(&set, &sorted[i]), 0);
	}
	assert_int_equal(set.n, LEN(sorted));
	for (size_t i = 0; i < LEN(sorted); i++)
		assert_int_equal(bindings_find(&set, &sorted[i]), i);
}

static void removing_keeps_the_others_in_order(void **state)
{
	const struct isomer_binding sorted[] = SORTED;
	CLEANUP(bindings_done) struct bindings set = BINDINGS_NONE;

	(void)state;
	for (size_t i = 0; i < LEN(sorted); i++)
		assert_int_equal(bindings_add(&set, &sorted[i]), 0);
	bindings_remove(&set, 3);
	bindings_remove(&set, 0);
	bindings_remove(&set, set.n - 1);
	assert_int_equal(set.n, LEN(sorted) - 3);
	assert_memory_equal(set.entries, &sorted[1], 2 * sizeof(*sorted));
	assert_memory_equal(&set.entries[2], &sorted[4], (LEN(sorted) - 5) * sizeof(*sorted));
	assert_int_equal(bindings_find(&set, &sorted[3]), -1);

	while (set.n)
		bindings_remove(&set, 0);
	bindings_sort(&set);
	assert_int_equal(bindings_find(&set, &sorted[0]), -1);
}

static void a_set_holds_a_million_and_no_more(void **state)
{
	const struct isomer_binding b = binding(TCP, "10.0.0.1", 32, 80, 80);
	struct bindings full = { .entries = NULL, .n = ISOMER_BINDINGS_MAX };

	(void)state;
	assert_int_equal(bindings_add(&full, &b), -E2BIG);
	assert_null(full.entries);
	assert_int_equal(full.n, ISOMER_BINDINGS_MAX);
}

static void texts_are_those_of_the_reference(void **state)
{
	static const struct {
		const char *ip;
		uint8_t prefixlen;
		uint16_t first, last;
		const char *prefix, *ports, *text;
	} cases[] = {
		{ "127.0.0.0", 8, 4321, 4321, "127.0.0.0/8", "4321", "foo#tcp:[127.0.0.0/8]:4321" },
		{ "192.0.2.7", 32, 0, 65535, "192.0.2.7/32", "0", "foo#tcp:[192.0.2.7/32]:0" },
		{ "0.0.0.0", 0, 80, 90, "0.0.0.0/0", "80-90", "foo#tcp:[0.0.0.0/0]:80-90" },
		{ "::", 0, 1, 65535, "::/0", "1-65535", "foo#tcp:[::/0]:1-65535" },
		{ "2001:DB8:0:0:1::", 96, 65535, 65535, "2001:db8:0:0:1::/96", "65535",
		  "foo#tcp:[2001:db8:0:0:1::/96]:65535" },
	};

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		struct isomer_binding b = binding(TCP, cases[i].ip, cases[i].prefixlen,
						  cases[i].first, cases[i].last);
		char prefix[PREFIX_TEXT_SIZE], ports[PORTS_TEXT_SIZE], text[BINDING_TEXT_SIZE];

		binding_prefix_text(&b, prefix);
		assert_string_equal(prefix, cases[i].prefix);
		binding_ports_text(&b, ports);
		assert_string_equal(ports, cases[i].ports);
		binding_text(&b, "foo", text);
		assert_string_equal(text, cases[i].text);
	}
}

static void the_longest_text_fits(void **state)
{
	struct isomer_binding b =
		binding(UDP, "fd00:1111:2222:3333:4444:5555:6666:7777", 128, 10000, 65534);
	char label[ISOMER_LABEL_MAX + 1], text[BINDING_TEXT_SIZE];
	const char *rest = "#udp:[fd00:1111:2222:3333:4444:5555:6666:7777/128]:10000-65534";

	(void)state;
	memset(label, 'x', ISOMER_LABEL_MAX);
	label[ISOMER_LABEL_MAX] = '\0';
	binding_text(&b, label, text);
	assert_int_equal(strlen(text), ISOMER_LABEL_MAX + strlen(rest));
	assert_string_equal(text + ISOMER_LABEL_MAX, rest);
}

static void only_port_0_is_all_ports(void **state)
{
	struct isomer_binding all = binding(TCP, "::", 0, 0, 65535);
	struct isomer_binding nearly = binding(TCP, "::", 0, 1, 65535);

	(void)state;
	assert_true(binding_all_ports(&all));
	assert_false(binding_all_ports(&nearly));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bindings_are_sorted_by_preference),
		cmocka_unit_test(the_order_has_no_loops),
		cmocka_unit_test(destination_and_miss_policy_do_not_tell_bindings_apart),
		cmocka_unit_test(every_binding_is_found_and_no_other),
		cmocka_unit_test(removing_keeps_the_others_in_order),
		cmocka_unit_test(a_set_holds_a_million_and_no_more),
		cmocka_unit_test(texts_are_those_of_the_reference),
		cmocka_unit_test(the_longest_text_fits),
		cmocka_unit_test(only_port_0_is_all_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
