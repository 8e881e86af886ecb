/* SPDX-License-Identifier: BSD-3-Clause */
/* What an index takes, and how many trees a look-up: for sets that are usual, and for those that
 * hurt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "state/cleanup.h"
#include "unit/ruleset_walk.h"

static void small_sets_need_one_tree_for_a_lookup(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = bindings_array(400);
	unsigned int trees;
	size_t n = 0;

	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		b[n++] = binding_ipv4(0x0a000000 + i, 32, 80, 80, i);
		b[n++] = binding_ipv4(0x0a000000 + i, 32, 443, 443, i);
		b[n++] = binding_ipv4(0x0a000000 + (i << 16), 16, 1000 + i % 5, 2000, i);
		b[n++] = binding_ipv4(0x0b000000 + (i << 8), 24, ALL_PORTS, i);
	}
	ruleset_check_set(b, n, 2000, &trees);
	assert_int_equal(trees, 1);
}

static void neighbours_with_one_destination_are_one_segment(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = bindings_array(1000);

	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		b[i] = binding_ipv4(i << 8, 24, 80, 80, 1);
	assert_int_equal(ruleset_check_set(b, 1000, 1000, NULL), 2);
}

static void index_of_host_bindings_is_lean(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = bindings_array(ISOMER_BINDINGS_MAX);
	size_t blocks;

	(void)state;
	for (uint32_t i = 0; i < ISOMER_BINDINGS_MAX; i++)
		b[i] = binding_ipv4(i * 4001, 32, 80, 80, i); /* odd: all different */
	blocks = ruleset_check_set(b, ISOMER_BINDINGS_MAX, 100, NULL);
	printf("1,000,000 IPv4 hosts: %zu blocks\n", blocks);
	assert_in_range(blocks, 1, (24 << 20) / sizeof(struct isomer_block));
	for (uint32_t i = 0; i < ISOMER_BINDINGS_MAX; i++)
		b[i] = binding_ipv6(0x20010db800000000, (uint64_t)i * 0x9e3779b97f4a7c15, 128, 80,
				    80, i);
	blocks = ruleset_check_set(b, ISOMER_BINDINGS_MAX, 100, NULL);
	printf("1,000,000 IPv6 hosts: %zu blocks\n", blocks);
	assert_in_range(blocks, 1, (64 << 20) / sizeof(struct isomer_block));
}

/* The worst that there is for tests and small trees: hosts in groups that share a word. */
static void index_of_groups_is_lean(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = bindings_array(20000);
	size_t most = 0;

	(void)state;
	for (size_t size = 1; size <= 6; size++) {
		size_t blocks;

		for (size_t i = 0; i < 20000; i++)
			b[i] = binding_ipv6(i / size * 0x9e3779b1 << 32 |
						    i * 0x85ebca6b % 0xffffffff,
					    i * 0x9e3779b97f4a7c15, 128, 80, 80, i);
		blocks = ruleset_check_set(b, 20000, 100, NULL);
		most = blocks > most ? blocks : most;
	}
	printf("20,000 IPv6 hosts in groups: up to %zu blocks\n", most);
	assert_in_range(most, 1, (72 << 20) / 50 / sizeof(struct isomer_block));
}

/* What the ports of one prefix lead to is not repeated for each of many prefixes in it. */
static void ranges_around_many_hosts_are_lean(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = bindings_array(6000);
	unsigned int trees;
	size_t blocks;

	(void)state;
	for (uint32_t i = 0; i < 6000; i++)
		b[i] = i % 30 == 0 ? binding_ipv4(0, 0, 10 * i + 1, 10 * i + 5, i)
				   : binding_ipv4(i * 0x9e3779b1, 32, 10 * i + 1, 10 * i + 5, i);
	blocks = ruleset_check_set(b, 6000, 1000, &trees);
	printf("200 ranges around 5,800 hosts: %zu blocks, %u trees\n", blocks, trees);
	assert_in_range(blocks, 1, 8000);
}

static void ranges_over_one_port_are_lean(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = bindings_array(10000);
	unsigned int trees;
	size_t blocks;

	(void)state;
	for (uint32_t i = 0; i < 10000; i++)
		b[i] = binding_ipv4(0, 0, 30000 - i, 30000 + i * 2, i);
	blocks = ruleset_check_set(b, 10000, 1000, &trees);
	printf("10,000 ranges over a port, one prefix: %zu blocks, %u trees\n", blocks, trees);
	assert_in_range(blocks, 1, 30000);
	assert_int_equal(trees, 1);
	for (uint32_t i = 0; i < 10000; i++)
		b[i] = binding_ipv4(i << 16 | i, 32, 30000 - i, 30000 + i * 2, i);
	blocks = ruleset_check_set(b, 10000, 1000, &trees);
	printf("10,000 ranges over a port: %zu blocks, %u trees\n", blocks, trees);
	assert_in_range(blocks, 1, 80000);
}

static void nested_prefixes_are_lean(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = bindings_array(1000);
	size_t blocks, n = 0;

	(void)state;
	for (uint32_t i = 0; n < 1000; i++)
		for (int length = 128; length >= 0 && n < 1000; length--) {
			uint64_t hi = length < 64
					      ? ~(length ? ~UINT64_C(0) >> length : ~UINT64_C(0))
					      : ~UINT64_C(0);
			uint64_t lo = length <= 64    ? 0
				      : length == 128 ? ~UINT64_C(0)
						      : ~(~UINT64_C(0) >> (length - 64));

			b[n] = binding_ipv6(hi, lo, length, 80 + i, 90 + i, n);
			n++;
		}
	blocks = ruleset_check_set(b, n, 2000, NULL);
	printf("1,000 nested prefixes: %zu blocks\n", blocks);
	assert_in_range(blocks, 1, 2000);
}

static void every_port_and_all_ports_are_lean(void **state)
{
	CLEANUP_FREE struct isomer_binding *b = bindings_array(65536);
	unsigned int trees;
	size_t blocks;

	(void)state;
	b[0] = binding_ipv4(0, 0, ALL_PORTS, 0);
	for (uint32_t port = 1; port < 65536; port++)
		b[port] = binding_ipv4(port << 8, 24, port, port, port);
	blocks = ruleset_check_set(b, 65536, 1000, &trees);
	printf("65,535 ports and all ports: %zu blocks, %u trees\n", blocks, trees);
	assert_in_range(blocks, 1, 75000);
	/* The same everywhere: the trees are shared. */
	for (uint32_t port = 1; port < 65536; port++)
		b[port] = binding_ipv4(0x0a000000, 8, port, port, port % 2);
	blocks = ruleset_check_set(b, 65536, 1000, &trees);
	printf("65,535 ports to two destinations: %zu blocks, %u trees\n", blocks, trees);
	assert_in_range(blocks, 1, 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_sets_need_one_tree_for_a_lookup),
		cmocka_unit_test(neighbours_with_one_destination_are_one_segment),
		cmocka_unit_test(index_of_host_bindings_is_lean),
		cmocka_unit_test(index_of_groups_is_lean),
		cmocka_unit_test(ranges_around_many_hosts_are_lean),
		cmocka_unit_test(ranges_over_one_port_are_lean),
		cmocka_unit_test(nested_prefixes_are_lean),
		cmocka_unit_test(every_port_and_all_ports_are_lean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
