/* SPDX-License-Identifier: BSD-3-Clause */
/* An address is looked at in words of 32 bits. A tree tells the segments of one word apart; where
 * several segments meet within one value of the word, what tells those apart is made in the same
 * way, for the next word. A test stands in where few prefixes lie among addresses of one value, and
 * skips the words that all prefixes below it have in common.
 */
#include "loader/ruleset_addresses.h"

#include <errno.h>
#include <stdlib.h>

#include "loader/ruleset_word.h"
#include "state/cleanup.h"

#define WORD_BITS 32
#define WORDS     4 /* of an address */

/* So many prefixes are told apart by tests alone: as fast as a tree, and less than half of its
 * size. Of all addresses fewer, as most of what comes is elsewhere. */
#define CHAIN_MAX     4
#define CHAIN_MAX_ALL 2

/* The addresses behind the segment before, up to and with @last, have @value. */
struct segment {
	struct address last;
	uint32_t value;
};

/* All addresses from 0 on. */
struct segments {
	struct segment *segment;
	size_t n;
};

static void segments_done(struct segments *s)
{
	free(s->segment);
}

/* Nothing happens when the segment before reaches as far as @last. */
static void add_segment(struct segments *s, struct address last, uint32_t value)
{
	struct segment *before = s->n > 0 ? &s->segment[s->n - 1] : NULL;

	if (before && !address_less(before->last, last))
		return;
	if (before && before->value == value)
		before->last = last;
	else
		s->segment[s->n++] = (struct segment){ last, value };
}

struct builder {
	struct domain *domain;
	const struct segment *segment;
	struct part *part; /* of the trees that are being made, the innermost last */
	size_t n_parts, capacity;
};

static void builder_done(struct builder *b)
{
	free(b->part);
}

/* A prefix, with the segments that have addresses in it. */
struct span {
	struct address first, last;
	size_t begin, end;  /* the first and the last segment */
	unsigned int bits;  /* the prefix is at least so long: whole words */
	unsigned int tests; /* that may come next, one after the other */
};

static struct address segment_first(const struct builder *b, const struct span *s, size_t i)
{
	return i == s->begin ? s->first : address_after(b->segment[i - 1].last);
}

static struct address segment_last(const struct builder *b, const struct span *s, size_t i)
{
	return i == s->end ? s->last : b->segment[i].last;
}

/* How many of the first bits @a and @b have in common. */
static unsigned int common_bits(struct address a, struct address b)
{
	if (a.hi != b.hi)
		return (unsigned int)__builtin_clzll(a.hi ^ b.hi);
	return a.lo == b.lo ? 128 : 64 + (unsigned int)__builtin_clzll(a.lo ^ b.lo);
}

static bool is_prefix(struct address first, struct address last, unsigned int *ret_length)
{
	*ret_length = common_bits(first, last);
	return *ret_length > 0 && address_equal(first, address_first_of(first, *ret_length)) &&
	       address_equal(last, address_last_of(last, *ret_length));
}

/* ---- tests ---- */

/* How many tests tell apart all that has not the value @out; 0 if tests alone do not. */
static unsigned int chain_length(const struct builder *b, const struct span *s, uint32_t out)
{
	unsigned int most = s->bits ? CHAIN_MAX : CHAIN_MAX_ALL, n = 0, length;

	if (most > s->tests)
		most = s->tests;
	for (size_t i = s->begin; i <= s->end; i++) {
		if (b->segment[i].value == out)
			continue;
		if (n++ == most ||
		    !is_prefix(segment_first(b, s, i), segment_last(b, s, i), &length))
			return 0;
	}
	return n;
}

static int write_chain(struct builder *b, const struct span *s, uint32_t out, uint32_t *ret_value)
{
	uint32_t value = out;
	int r = 0;

	for (size_t i = s->begin; i <= s->end && r == 0; i++) {
		struct address first = segment_first(b, s, i);

		if (b->segment[i].value == out)
			continue;
		r = tests_add_prefix(&b->domain->tests, b->domain->blocks, first,
				     common_bits(first, segment_last(b, s, i)), b->segment[i].value,
				     value, &value);
	}
	*ret_value = value;
	return r;
}

/* The prefix that all is in that has not the value @out. False if it is not longer by a word. */
static bool find_inner(const struct builder *b, const struct span *s, uint32_t out,
		       struct span *ret_inner, unsigned int *ret_length)
{
	struct address first, last;
	struct span inner = { .begin = s->begin, .end = s->end };
	unsigned int length;

	while (b->segment[inner.begin].value == out)
		inner.begin++;
	while (b->segment[inner.end].value == out)
		inner.end--;
	first = segment_first(b, s, inner.begin);
	last = segment_last(b, s, inner.end);
	length = common_bits(first, last);
	if (s->tests == 0 || length < s->bits + WORD_BITS)
		return false;
	inner.first = address_first_of(first, length);
	inner.last = address_last_of(last, length);
	inner.begin -= address_less(inner.first, first);
	inner.end += address_less(last, inner.last);
	inner.bits = length / WORD_BITS * WORD_BITS;
	inner.tests = s->tests - 1;
	*ret_inner = inner;
	*ret_length = length;
	return true;
}

/* ---- trees ---- */

static uint32_t word_of(struct address a, unsigned int word)
{
	uint64_t half = word < 2 ? a.hi : a.lo;

	return (uint32_t)(word % 2 ? half : half >> WORD_BITS);
}

/* Adds a part to the tree whose parts begin at @base. Tests look at all words: in front of them,
 * what they give to others needs no part of its own. */
static int add_part(struct builder *b, size_t base, uint32_t last, uint32_t value)
{
	if (b->n_parts > base &&
	    b->part[b->n_parts - 1].value == value_outside(b->domain->blocks, value))
		b->n_parts--;
	if (b->n_parts == b->capacity) {
		size_t capacity = b->capacity * 2 + 64;
		void *p = reallocarray(b->part, capacity, sizeof(*b->part));

		if (!p)
			return -ENOMEM;
		b->part = p;
		b->capacity = capacity;
	}
	b->part[b->n_parts++] = (struct part){ last, value };
	return 0;
}

static int build(struct builder *b, const struct span *s, uint32_t *ret_value);

/* The value of the word that @at is the first address of: segment *@i begins there or before, and
 * ends within. */
static int build_within(struct builder *b, struct address at, struct address last,
			unsigned int bits, size_t *i, uint32_t *ret_value)
{
	struct span s = { .first = at, .last = last, .begin = *i, .bits = bits };

	while (address_less(b->segment[*i].last, last))
		++*i;
	s.end = *i;
	s.tests = WORDS + 1 - bits / WORD_BITS;
	return build(b, &s, ret_value);
}

/* Calls build() for what one word does not tell apart, so goes no deeper than there are words. */
static int build_tree(struct builder *b, const struct span *s, uint32_t *ret_value)
{
	unsigned int bits = s->bits + WORD_BITS, word = s->bits / WORD_BITS;
	struct address at = s->first, last;
	size_t base = b->n_parts, i = s->begin;

	for (;; at = address_after(last)) {
		uint32_t value = b->segment[i].value;
		int r = 0;

		last = address_last_of(at, bits);
		if (address_less(b->segment[i].last, last)) {
			r = build_within(b, at, last, bits, &i, &value);
		} else {
			last = segment_last(b, s, i);
			if (!address_equal(last, address_last_of(last, bits)))
				last = address_before(address_first_of(last, bits));
		}
		if (r == 0)
			r = add_part(b, base, word_of(last, word), value);
		if (r < 0)
			return r;
		if (address_equal(last, s->last))
			break;
		i += address_equal(last, b->segment[i].last);
	}
	i = b->n_parts - base;
	b->n_parts = base;
	return word_write(b->domain, b->part + base, i, word,
			  common_bits(s->first, s->last) - s->bits, ret_value);
}

static int build(struct builder *b, const struct span *s, uint32_t *ret_value)
{
	const uint32_t outs[] = { b->segment[s->begin].value, b->segment[s->end].value };

	if (s->begin == s->end) {
		*ret_value = outs[0];
		return 0;
	}
	for (int i = 0; i < 2; i++)
		if (chain_length(b, s, outs[i]))
			return write_chain(b, s, outs[i], ret_value);
	for (int i = 0; i < 2; i++) {
		struct span inner;
		unsigned int length;
		uint32_t in;
		int r;

		if (!find_inner(b, s, outs[i], &inner, &length))
			continue;
		r = build(b, &inner, &in);
		if (r < 0)
			return r;
		return tests_add_prefix(&b->domain->tests, b->domain->blocks, inner.first, length,
					in, outs[i], ret_value);
	}
	return build_tree(b, s, ret_value);
}

static int build_all(struct domain *domain, const struct segments *segments, bool wide,
		     uint32_t *ret_reference)
{
	CLEANUP(builder_done) struct builder b = { .domain = domain, .segment = segments->segment };
	struct span all = { .last = ADDRESS_LAST,
			    .end = segments->n - 1,
			    .tests = wide ? WORDS + 1 : 1 };
	uint32_t value;
	int r = build(&b, &all, &value);

	if (r == 0 && ISOMER_REF_KIND(value) < ISOMER_KIND_TABLE) {
		/* A port leads to references only. */
		const struct part part = { UINT32_MAX, value };

		r = word_write(domain, &part, 1, 0, 0, &value);
	}
	if (r < 0)
		return r;
	*ret_reference = value;
	return 0;
}

int addresses_write(struct domain *domain, const struct rules *rules, const uint32_t *rule,
		    const uint32_t *value, size_t n, uint32_t *ret_reference)
{
	CLEANUP(segments_done) struct segments s = { 0 };
	struct segment open[129]; /* the prefixes around the present place: lengths 0 to 128 */
	int depth = 0;

	s.segment = reallocarray(NULL, 2 * n + 1, sizeof(*s.segment));
	if (!s.segment)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct rule *next = &rules->rule[rule[i]];

		while (depth > 0 && address_less(open[depth - 1].last, next->address)) {
			depth--;
			add_segment(&s, open[depth].last, open[depth].value);
		}
		if (next->address.hi || next->address.lo)
			add_segment(&s, address_before(next->address),
				    depth > 0 ? open[depth - 1].value : 0);
		open[depth++] =
			(struct segment){ rule_last(next), value ? value[i] : next->verdict };
	}
	while (depth > 0) {
		depth--;
		add_segment(&s, open[depth].last, open[depth].value);
	}
	add_segment(&s, ADDRESS_LAST, 0);
	return build_all(domain, &s, rules->wide, ret_reference);
}
