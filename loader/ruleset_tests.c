/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/ruleset_tests.h"

#include <string.h>

void tests_done(struct tests *t)
{
	lookup_done(&t->lookup);
}

/* Where the test @ref is. */
static void *test_at(const struct blocks *blocks, uint32_t ref, size_t words)
{
	return &blocks->block[ISOMER_REF_AT(ref)].word[ISOMER_REF_N(ref) * words];
}

/* Finds a test of @words words among those of its kind, or adds it. */
static int add(struct tests *t, struct blocks *blocks, enum isomer_kind kind, const uint32_t *test,
	       size_t words, uint32_t *ret_value)
{
	uint32_t hash = words_hash(test, words), i = kind == ISOMER_KIND_PORT_TEST, ref;
	size_t cursor = 0, bytes = words * sizeof(*test);
	int r;

	while ((ref = lookup_next(&t->lookup, hash, &cursor)) != LOOKUP_NONE)
		if (ISOMER_REF_KIND(ref) == kind &&
		    memcmp(test_at(blocks, ref, words), test, bytes) == 0) {
			*ret_value = ref;
			return 0;
		}
	if (t->used[i] == 0) {
		r = blocks_add(blocks, 1, &t->block[i]);
		if (r < 0)
			return r;
	}
	ref = ISOMER_REF(kind, t->used[i], t->block[i]);
	memcpy(test_at(blocks, ref, words), test, bytes);
	t->used[i] = (t->used[i] + 1) % (ISOMER_BLOCK_WORDS / words);
	*ret_value = ref;
	return lookup_add(&t->lookup, hash, ref);
}

const struct isomer_prefix_test *tests_prefix_at(const struct blocks *blocks, uint32_t value)
{
	const struct isomer_block *block = &blocks->block[ISOMER_REF_AT(value)];

	return (const struct isomer_prefix_test *)block + ISOMER_REF_N(value);
}

int tests_add_prefix(struct tests *t, struct blocks *blocks, struct address first,
		     unsigned int length, uint32_t in, uint32_t out, uint32_t *ret_value)
{
	unsigned int host_hi = length < 64 ? 64 - length : 0;
	unsigned int host_lo = length < 64 ? 64 : 128 - length;
	union {
		struct isomer_prefix_test test;
		uint32_t word[ISOMER_BLOCK_WORDS / ISOMER_PREFIX_TESTS];
	} u = { .test = { .hi = first.hi,
			  .lo = first.lo,
			  .in = in,
			  .out = out,
			  .shift_hi = host_hi,
			  .shift_lo = host_lo - host_lo / 64,
			  .shift_lo_again = host_lo / 64 } };

	return add(t, blocks, ISOMER_KIND_PREFIX_TEST, u.word, sizeof(u) / sizeof(*u.word),
		   ret_value);
}

int tests_add_ports(struct tests *t, struct blocks *blocks, uint16_t first, uint16_t last,
		    uint32_t in, uint32_t out, uint32_t *ret_value)
{
	union {
		struct isomer_port_test test;
		uint32_t word[ISOMER_BLOCK_WORDS / ISOMER_PORT_TESTS];
	} u = { .test = { .first = first, .last = last, .in = in, .out = out } };

	return add(t, blocks, ISOMER_KIND_PORT_TEST, u.word, sizeof(u) / sizeof(*u.word),
		   ret_value);
}
