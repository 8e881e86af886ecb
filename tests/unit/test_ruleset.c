/* SPDX-License-Identifier: BSD-3-Clause */
/* What the compiler of rulesets makes has the verdicts of the model. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "loader/ruleset.h"
#include "state/cleanup.h"
#include "support/ruleset_model.h"
#include "unit/ruleset_walk.h"

static void no_binding_matches_nothing(void **state)
{
	CLEANUP(ruleset_done) struct ruleset rs = { 0 };
	struct model_lookup l = { AF_INET, IPPROTO_TCP, 80, { 0 } };

	(void)state;
	ruleset_check_compile(NULL, 0, &rs);
	assert_int_equal(rs.n_blocks, 1);
	assert_int_equal(ruleset_walk(&rs, &l, NULL), 0);
}

static void one_binding_needs_one_node(void **state)
{
	struct isomer_binding b = binding_ipv4(0x7f000001, 32, 80, 80, 5);
	CLEANUP(ruleset_done) struct ruleset rs = { 0 };
	struct model_lookup l = { AF_INET, IPPROTO_TCP, 80, { 127, 0, 0, 1 } };

	(void)state;
	b.miss = ISOMER_MISS_PASS;
	ruleset_check_compile(&b, 1, &rs);
	assert_int_equal(rs.n_blocks, 2); /* header with the ports, addresses */
	assert_int_equal(ruleset_walk(&rs, &l, NULL), ISOMER_VERDICT(5, 1, 32));
	l.protocol = IPPROTO_UDP;
	assert_int_equal(ruleset_walk(&rs, &l, NULL), 0);
	l.domain = AF_INET6;
	l.protocol = IPPROTO_TCP;
	assert_int_equal(ruleset_walk(&rs, &l, NULL), 0);
}

static void random_sets_agree_with_the_model(void **state)
{
	struct model_random random = model_random_make(20240229);
	CLEANUP_FREE struct isomer_binding *bindings = bindings_array(2000);

	(void)state;
	for (int set = 0; set < 300; set++) {
		CLEANUP(ruleset_done) struct ruleset rs = { 0 };
		struct model_field field;
		size_t n = 1 + model_random(&random, set % 3 ? 60 : 2000);

		model_field_make(&random, &field);
		n = model_bindings(&random, &field, bindings, n);
		for (size_t i = 0; i < n; i++)
			bindings[i].miss = model_random(&random, 2);
		ruleset_check_compile(bindings, n, &rs);
		for (int i = 0; i < 200; i++) {
			struct model_lookup l = model_lookup_near(&random, bindings, n);

			ruleset_check(&rs, bindings, n, &l);
		}
	}
}

/* Many ports, so that nothing is small enough to be pushed everywhere. */
static void scattered_sets_agree_with_the_model(void **state)
{
	struct model_random random = model_random_make(4);
	CLEANUP_FREE struct isomer_binding *b = bindings_array(20000);

	(void)state;
	for (int set = 0; set < 4; set++) {
		size_t n = 5000 << set / 2;

		for (size_t i = 0; i < n; i++) {
			uint32_t addr = (i % 50) << 24 | (i / 50);
			uint32_t first = 1 + model_random(&random, 65535), width;

			width = model_random(&random, set % 2 ? 65536 - first : 4);
			if (first + width > 65535)
				width = 65535 - first;
			b[i] = set & 1 ? binding_ipv4(addr, 32, first, first + width, i)
				       : binding_ipv6(addr, i, 128, first, first + width, i);
			if (i % 7 == 0)
				b[i] = binding_ipv4(i << 16, 16, ALL_PORTS, i);
			if (i % 7 == 1)
				b[i] = binding_ipv6((uint64_t)i << 32, 0, 64, ALL_PORTS, i);
		}
		ruleset_check_set(b, n, 2000, NULL);
	}
}

/* Bindings of few prefixes among many others, so that they meet in several trees. */
static void lists_of_trees_agree_with_the_model(void **state)
{
	struct model_random random = model_random_make(5);
	CLEANUP_FREE struct isomer_binding *b = bindings_array(22000);
	unsigned int most = 0;

	(void)state;
	for (int set = 0; set < 5; set++) {
		CLEANUP(ruleset_done) struct ruleset rs = { 0 };
		struct model_field field;
		size_t n;

		model_field_make(&random, &field);
		n = model_bindings(&random, &field, b, 2000);
		model_ballast(b + n, 10000, AF_INET, 0);
		model_ballast(b + n + 10000, 10000, AF_INET6, 0);
		ruleset_check_compile(b, n + 20000, &rs);
		for (int i = 0; i < 500; i++) {
			struct model_lookup l = model_lookup_near(&random, b, n);
			unsigned int trees;

			ruleset_check(&rs, b, n + 20000, &l);
			ruleset_walk(&rs, &l, &trees);
			most = trees > most ? trees : most;
		}
	}
	printf("up to %u trees\n", most);
	assert_in_range(most, 8, ISOMER_TREES_MAX);
}

/* Groups of hosts that differ from one word of the address on, between others that do so from the
 * first: what is common to a group is skipped, and small groups are told apart by tests. */
static void groups_of_hosts_agree_with_the_model(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = bindings_array(1500);
	struct model_random random = model_random_make(6);

	(void)state;
	for (unsigned int word = 0; word < 4; word++)
		for (size_t size = 1; size < 7; size++) {
			for (size_t i = 0; i < 1500; i++) {
				uint64_t group = i / size * 0x9e3779b97f4a7c15, hi, lo;
				uint32_t own = model_random(&random, UINT32_MAX);

				hi = word < 2 ? own : group;
				lo = (word < 3 ? (uint64_t)own << 32 : 0) | i;
				if (word > 0)
					hi = (hi & UINT32_MAX) | group >> 32 << 32;
				else
					hi |= (uint64_t)own << 32;
				b[i] = binding_ipv6(hi, lo, 128, 80, 80, i);
				if (i % 5 == 0 && word < 3)
					b[i] = binding_ipv6(hi, lo & ~UINT64_C(0xffff), 112, 80, 80,
							    i);
			}
			ruleset_check_set(b, 1500, 500, NULL);
		}
}

/* Hosts enough for a table, in all of the space and in a small part of it. */
static void tables_agree_with_the_model(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = bindings_array(20000);
	static const unsigned int spaces[] = { 32, 24, 16 };

	(void)state;
	for (size_t space = 0; space < sizeof(spaces) / sizeof(*spaces); space++)
		for (int wide = 0; wide < 2; wide++) {
			uint32_t mask = UINT32_MAX >> (32 - spaces[space]);

			for (uint32_t i = 0; i < 20000; i++) {
				uint32_t addr = 0x0a000000 ^ (i * 0x9e3779b1 & mask);

				b[i] = wide ? binding_ipv6(0x20010db800000000, addr, 128, 80, 80, i)
					    : binding_ipv4(addr, 32, 80, 80, i);
				if (i % 3 == 0 && addr % 4 == 0)
					b[i].prefixlen -= 2;
			}
			ruleset_walk_tables = 0;
			ruleset_check_set(b, spaces[space] == 16 ? 15000 : 20000, 100, NULL);
			assert_int_equal(ruleset_walk_tables != 0, spaces[space] > 16 || wide);
		}
}

static void narrow_range_near_the_root_beats_wide_range_near_the_leaf(void **state)
{
	/* With these borders [4, 7] is one inner node, and the end of [1, 5] is a node below it. */
	struct isomer_binding b[] = {
		binding_ipv4(0x0a000000, 8, 4, 7, 0), binding_ipv4(0x0a000000, 8, 1, 5, 1),
		binding_ipv4(0x0b000000, 8, 2, 2, 2), binding_ipv4(0x0b000000, 8, 3, 3, 3),
		binding_ipv4(0x0b000000, 8, 6, 6, 4), binding_ipv4(0x0a000000, 8, ALL_PORTS, 5),
	};
	const size_t n = sizeof(b) / sizeof(b[0]);
	CLEANUP(ruleset_done) struct ruleset rs = { 0 };

	(void)state;
	ruleset_check_compile(b, n, &rs);
	for (uint16_t port = 0; port < 10; port++) {
		struct model_lookup l = { AF_INET, IPPROTO_TCP, port, { 10, 1 } };

		ruleset_check(&rs, b, n, &l);
	}
}

/* The leaves of both trees are the same: only the node above knows where the first one ends. */
static void trees_that_differ_between_leaves_are_not_shared(void **state)
{
	CLEANUP(ruleset_done) struct ruleset rs = { 0 };
	struct isomer_binding b[64];
	struct model_lookup l = { AF_INET, IPPROTO_TCP, 0, { 20, 0, 1 } };
	size_t n = 0;

	(void)state;
	for (uint16_t port = 80; port <= 82; port += 2) {
		for (uint32_t i = 0; i < 7; i++) /* a gap and a host: two segments */
			b[n++] = binding_ipv4(0x0a000000 + 2 * i, 32, port, port, i);
		/* The eighth gap is the last but one of the leaf. */
		b[n++] = binding_ipv4(0x14000000, 24, port, port, 9);
		if (port == 82)
			b[n++] = binding_ipv4(0x14000100, 24, port, port, 9);
	}
	ruleset_check_compile(b, n, &rs);
	for (l.port = 79; l.port <= 83; l.port++)
		ruleset_check(&rs, b, n, &l);
}

static void order_of_bindings_does_not_matter(void **state)
{
	struct model_random random = model_random_make(7);
	CLEANUP_FREE struct isomer_binding *b = bindings_array(3000);
	struct model_field field;
	size_t n;

	(void)state;
	for (int set = 0; set < 10; set++) {
		CLEANUP(ruleset_done) struct ruleset first = { 0 };
		CLEANUP(ruleset_done) struct ruleset second = { 0 };

		model_field_make(&random, &field);
		n = model_bindings(&random, &field, b, 3000);
		ruleset_check_compile(b, n, &first);
		for (size_t i = n - 1; i > 0; i--) {
			size_t j = model_random(&random, i + 1);
			struct isomer_binding swap = b[i];

			b[i] = b[j];
			b[j] = swap;
		}
		ruleset_check_compile(b, n, &second);
		assert_int_equal(first.n_blocks, second.n_blocks);
		assert_memory_equal(first.blocks, second.blocks,
				    first.n_blocks * sizeof(*first.blocks));
	}
}

static void assert_refused(const struct isomer_binding *b, size_t n, int error)
{
	struct isomer_block mark;
	struct ruleset rs = { &mark, 17 };

	assert_int_equal(ruleset_compile(b, n, &rs), error);
	assert_ptr_equal(rs.blocks, &mark);
	assert_int_equal(rs.n_blocks, 17);
}

static void invalid_bindings_leave_the_output_alone(void **state)
{
	struct isomer_binding good = binding_ipv4(0x0a000000, 8, 80, 90, 1), two[2], b;

	(void)state;
#define REFUSED(change)                                                                            \
	do {                                                                                       \
		b = good;                                                                          \
		change;                                                                            \
		assert_refused(&b, 1, -EINVAL);                                                    \
	} while (0)
	REFUSED(b.domain = AF_UNIX);
	REFUSED(b.domain = 0);
	REFUSED(b.protocol = IPPROTO_SCTP);
	REFUSED(b.prefixlen = 33);
	REFUSED(b.prefixlen = 6);
	REFUSED(b.addr[1] = 0x80);
	REFUSED(b.addr[3] = 0x01);
	REFUSED(b.addr[4] = 0x80);
	REFUSED(b.addr[15] = 0x01);
	REFUSED(b.miss = 2);
	REFUSED(b.port_first = 91);
	REFUSED(b.port_first = 0);
	REFUSED(b.port_first = b.port_last = 0);
	REFUSED(b.destination = ISOMER_DESTINATIONS_MAX);
	REFUSED(b = binding_ipv6(1, 0, 63, 80, 80, 0));
	REFUSED(b = binding_ipv6(1, 0, 129, 80, 80, 0));
#undef REFUSED
	two[0] = two[1] = good;
	two[1].destination = 2;
	two[1].miss = ISOMER_MISS_PASS;
	assert_refused(two, 2, -EINVAL);
}

static void too_many_bindings_are_refused(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = bindings_array(ISOMER_BINDINGS_MAX + 1);

	(void)state;
	assert_refused(b, ISOMER_BINDINGS_MAX + 1, -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_binding_matches_nothing),
		cmocka_unit_test(one_binding_needs_one_node),
		cmocka_unit_test(random_sets_agree_with_the_model),
		cmocka_unit_test(scattered_sets_agree_with_the_model),
		cmocka_unit_test(lists_of_trees_agree_with_the_model),
		cmocka_unit_test(groups_of_hosts_agree_with_the_model),
		cmocka_unit_test(tables_agree_with_the_model),
		cmocka_unit_test(narrow_range_near_the_root_beats_wide_range_near_the_leaf),
		cmocka_unit_test(trees_that_differ_between_leaves_are_not_shared),
		cmocka_unit_test(order_of_bindings_does_not_matter),
		cmocka_unit_test(invalid_bindings_leave_the_output_alone),
		cmocka_unit_test(too_many_bindings_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
