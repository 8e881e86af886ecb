/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* The dispatcher: finds the binding of a new connection or datagram in the ruleset, and hands the
 * packet to a socket of the binding's destination.
 *
 * Everything here must pass the verifier of Linux 5.10. A jump that depends on what a node holds
 * doubles the states that the verifier follows, so searches count without jumps.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps.bpf.h"

/* <linux/socket.h> does not have them, <sys/socket.h> is not for BPF. */
#define AF_INET  2
#define AF_INET6 10

/* Keeps clang from knowing anything about @x: it would turn the arithmetic back into jumps, or
 * drop a mask that the verifier wants to see. */
#define hide(x) asm volatile("" : "+r"(x))

/* What is looked up, as the index has it: an IPv4 address is in the highest bits. */
struct key {
	__u64 hi, lo, port;
};

/* The words from @i on, of which only the bits in @mask can be set. The verifier has to see a
 * computed place bounded anew each time. */
static __always_inline const __u32 *words_from(const __u32 *word, __u64 i, __u64 mask)
{
	hide(i);
	return &word[i & mask];
}

static __always_inline __u64 word_at(const struct isomer_block *block, __u64 i)
{
	return *words_from(block->word, i, ISOMER_BLOCK_WORDS - 1);
}

/* 1 if *@separator is less than @key, else 0. */
static __always_inline __u64 less(const __u32 *separator, __u64 key)
{
	__u64 difference = *separator - key;

	hide(difference);
	return difference >> 63;
}

/* How many of three separators are less than @key. None waits for another: a third more
 * comparisons than bisection makes, but half as many in a row. */
static __always_inline __u64 three(const __u32 *separator, int step, __u64 key)
{
	return less(separator, key) + less(separator + step, key) + less(separator + 2 * step, key);
}

/* How many of the separators are less than @key: the place of its segment. */
static __always_inline __u64 inner_place(const struct isomer_block *node, __u64 key)
{
	__u64 i = 8 * three(node->word + 7, 8, key);

	i += 2 * three(words_from(node->word, i, 24) + 1, 2, key);
	return i + less(words_from(node->word, i, 30), key);
}

static __always_inline __u64 leaf_place(const struct isomer_line *leaf, __u64 key)
{
	__u64 i = 2 * three(leaf->word + 1, 2, key);

	return i + less(words_from(leaf->word, i, 6), key);
}

/* The index. Whether it has pages behind the first one is known where the search is compiled, which
 * is done twice: the search in one page makes no call. */
struct index {
	const struct isomer_page *first;
	void *pages; /* all of them, if there are @more */
	int more;
};

static __always_inline const struct isomer_page *page_at(const struct index *index, __u32 number)
{
	return index->more ? bpf_map_lookup_elem(index->pages, &number) : index->first;
}

static __always_inline const struct isomer_block *block_at(const struct index *index, __u64 i)
{
	const struct isomer_page *page = page_at(index, i / ISOMER_PAGE_BLOCKS);

	hide(i);
	return page ? &page->block[i & (ISOMER_PAGE_BLOCKS - 1)] : 0;
}

static __always_inline const struct isomer_line *line_at(const struct index *index, __u64 i)
{
	const struct isomer_page *page = page_at(index, i / (2 * ISOMER_PAGE_BLOCKS));

	hide(i);
	return page ? (const struct isomer_line *)page->block + (i & (2 * ISOMER_PAGE_BLOCKS - 1))
		    : 0;
}

/* What follows replaces a value by the one that it leads to. False where a block is missing, which
 * the compiler of rulesets never lets happen: giving up there keeps the verifier from following
 * it any further. */

static __always_inline int tree_search(const struct index *index, __u64 key, __u64 *value)
{
	__u64 at = ISOMER_REF_AT(*value), levels = ISOMER_REF_N(*value);
	const struct isomer_block *node;
	const struct isomer_line *leaf;

#pragma clang loop unroll(disable)
	for (__u64 level = 0; level < ISOMER_LEVELS_MAX && level < levels; level++) {
		node = block_at(index, at);
		if (!node)
			return 0;
		at = node->word[ISOMER_FIRST_CHILD] + inner_place(node, key);
	}
	leaf = line_at(index, at);
	if (!leaf)
		return 0;
	*value = *words_from(leaf->word + ISOMER_VALUES, leaf_place(leaf, key), ISOMER_LEAF);
	return 1;
}

static __always_inline int prefix_test(const struct index *index, const struct key *key,
				       __u64 *value)
{
	const struct isomer_block *block = block_at(index, ISOMER_REF_AT(*value));
	const struct isomer_prefix_test *test;
	__u64 n = ISOMER_REF_N(*value), differs;

	if (!block)
		return 0;
	hide(n);
	test = (const struct isomer_prefix_test *)block + (n & (ISOMER_PREFIX_TESTS - 1));
	differs = (key->hi ^ test->hi) >> test->shift_hi |
		  (key->lo ^ test->lo) >> test->shift_lo >> test->shift_lo_again;
	*value = differs ? test->out : test->in;
	return 1;
}

static __always_inline int port_test(const struct index *index, const struct key *key, __u64 *value)
{
	const struct isomer_block *block = block_at(index, ISOMER_REF_AT(*value));
	const struct isomer_port_test *test;
	__u64 n = ISOMER_REF_N(*value);

	if (!block)
		return 0;
	hide(n);
	test = (const struct isomer_port_test *)block + (n & (ISOMER_PORT_TESTS - 1));
	*value = key->port < test->first || key->port > test->last ? test->out : test->in;
	return 1;
}

/* The entry of @word in a table. */
static __always_inline int table_read(const struct index *index, __u32 word, __u64 *value)
{
	__u64 i = word << ISOMER_TABLE_FIXED(*value) >> (32 - ISOMER_TABLE_BITS(*value));
	const struct isomer_block *block =
		block_at(index, ISOMER_TABLE_BLOCK(*value) + i / ISOMER_BLOCK_WORDS);

	if (!block)
		return 0;
	*value = word_at(block, i);
	return 1;
}

/* One step on the way through an address: a test, the table and the tree over word @w, if they are
 * there. */
static __always_inline int word_search(const struct index *index, const struct key *key, int w,
				       __u64 *value)
{
	__u64 half = w < 2 ? key->hi : key->lo, word = w % 2 ? (__u32)half : half >> 32;

	if (ISOMER_REF_KIND(*value) == ISOMER_KIND_PREFIX_TEST && !prefix_test(index, key, value))
		return 0;
	if (ISOMER_REF_KIND(*value) == (__u64)ISOMER_KIND_TABLE + w &&
	    !table_read(index, word, value))
		return 0;
	return ISOMER_REF_KIND(*value) != (__u64)ISOMER_KIND_WORD + w ||
	       tree_search(index, word, value);
}

/* Whether @value looks at the address. */
static __always_inline int is_step(__u64 value)
{
	return value - ISOMER_REF(ISOMER_KIND_TABLE, 0, 0) <
	       ISOMER_REF(ISOMER_KIND_PORT - ISOMER_KIND_TABLE, 0, 0);
}

static __always_inline int address_search(const struct index *index, const struct key *key,
					  int wide, __u64 *value)
{
	int words = wide ? 4 : 1;

#pragma unroll
	for (int w = 0; w < 4; w++) {
		if (w >= words || !is_step(*value))
			return 1;
		if (!word_search(index, key, w, value))
			return 0;
	}
	return ISOMER_REF_KIND(*value) != ISOMER_KIND_PREFIX_TEST || prefix_test(index, key, value);
}

static __always_inline int port_search(const struct index *index, const struct key *key,
				       __u64 *value)
{
#pragma unroll
	for (int n = 0; n < ISOMER_PORT_CHAIN_MAX; n++) {
		if (ISOMER_REF_KIND(*value) != ISOMER_KIND_PORT_TEST)
			break;
		if (!port_test(index, key, value))
			return 0;
	}
	return ISOMER_REF_KIND(*value) != ISOMER_KIND_PORT || tree_search(index, key->port, value);
}

/* @a unless @b has a longer prefix: of equal ones the earlier tree's counts. */
static __always_inline __u64 longer(__u64 a, __u64 b)
{
	__u64 less = ISOMER_VERDICT_RANK(a) - ISOMER_VERDICT_RANK(b);

	hide(less);
	less >>= 63;
	hide(less);
	return a ^ ((a ^ b) & (0 - less));
}

/* What @port leads to. False where a block is missing. */
static __always_inline int ports_search(const struct index *index,
					const struct isomer_index_ports *ports, __u64 port,
					__u64 *ret_trees)
{
	__u64 i = 0;

	if (ports->tree) {
		*ret_trees = ports->tree;
		return tree_search(index, port, ret_trees);
	}
#pragma unroll
	for (int n = 0; n < ISOMER_HEADER_SEGMENTS - 1; n++)
		i += less(&ports->last[n], port);
	hide(i);
	*ret_trees = ports->trees[i & 7];
	return 1;
}

/* The best verdict of all that a port leads to: @trees. */
static __always_inline __u64 best_verdict(const struct index *index,
					  const struct isomer_block *list, __u64 trees,
					  const struct key *key, int wide)
{
	__u64 best = 0, i = ISOMER_LIST_WORD(trees), left = 1;

	if (ISOMER_REF_KIND(trees) == ISOMER_KIND_LIST) {
		list = block_at(index, i / ISOMER_BLOCK_WORDS);
		if (!list)
			return 0;
		left = word_at(list, i++);
		trees = word_at(list, i);
	}
#pragma clang loop unroll(disable)
	for (int n = 0; n < ISOMER_TREES_MAX; n++) {
		__u64 value = trees;

		if (!address_search(index, key, wide, &value))
			return 0;
		best = longer(best, value);
		if (--left == 0 || ISOMER_VERDICT_RANK(best) == (wide ? 129 : 33))
			break;
		trees = word_at(list, ++i);
	}
	return port_search(index, key, &best) ? best : 0;
}

static __always_inline const struct isomer_index_header *header_of(const struct index *index)
{
	return (const struct isomer_index_header *)index->first->block;
}

static __always_inline __u32 index_search(struct bpf_sk_lookup *ctx, const struct index *index)
{
	int wide = ctx->family == AF_INET6;
	const struct isomer_index_ports *ports = &header_of(index)->ports[wide];
	struct key key = { .port = ctx->local_port };
	__u64 trees;

	if (!ports_search(index, ports, ISOMER_PORT_KEY(ctx->protocol == IPPROTO_UDP, key.port),
			  &trees) ||
	    !trees)
		return 0;
	if (!wide) {
		key.hi = (__u64)bpf_ntohl(ctx->local_ip4) << 32;
		/* clang 14 makes one load at ctx + offset of both branches, which the
		 * verifier refuses. */
		barrier();
		return best_verdict(index, index->first->block, trees, &key, 0);
	}
	key.hi = (__u64)bpf_ntohl(ctx->local_ip6[0]) << 32 | bpf_ntohl(ctx->local_ip6[1]);
	key.lo = (__u64)bpf_ntohl(ctx->local_ip6[2]) << 32 | bpf_ntohl(ctx->local_ip6[3]);
	return best_verdict(index, index->first->block, trees, &key, 1);
}

/* The verdict on a packet; 0: no binding matches it. */
static __always_inline __u32 ruleset_search(struct bpf_sk_lookup *ctx)
{
	struct index one = { .more = 0 }, all = { .more = 1 };
	__u32 zero = 0, place;
	void *rules;

	/* One look-up of the ruleset for a packet, so that it never meets two of them: what else
	 * there is of an index stays where its header says, until no packet has that any more. */
	rules = bpf_map_lookup_elem(&ruleset, &zero);
	if (!rules)
		return 0;
	one.first = all.first = bpf_map_lookup_elem(rules, &zero);
	if (!one.first)
		return 0;
	place = header_of(&one)->place;
	if (place >= ISOMER_PLACES)
		return index_search(ctx, &one);
	all.pages = bpf_map_lookup_elem(&pages, &place);
	return all.pages ? index_search(ctx, &all) : 0;
}

/* Tries the slots: the current one, then the standby from the newest to the oldest. 0 if one has
 * taken the packet. @ret_bad: whether one had to be skipped. */
static __always_inline int assign_any(struct bpf_sk_lookup *ctx, void *slots, __u64 *ret_bad)
{
	__u32 ready = ctx->protocol == IPPROTO_TCP ? BPF_TCP_LISTEN : BPF_TCP_CLOSE;

#pragma clang loop unroll(disable)
	for (__u32 n = 0; n < ISOMER_SLOTS; n++) {
		__u32 slot = (ISOMER_SLOTS - n) % ISOMER_SLOTS;
		struct bpf_sock *sk = bpf_map_lookup_elem(slots, &slot);
		long r = -1;

		if (!sk)
			continue;
		/* A listener may have been shut down, a UDP socket may have been connected; both
		 * may come back. Linux 5.10 would take the former, and lose the packet. */
		if (sk->state == ready)
			r = bpf_sk_assign(ctx, sk, 0);
		bpf_sk_release(sk);
		if (r == 0)
			return 0;
		*ret_bad = 1;
	}
	return -1;
}

/* Asked by BPF_PROG_TEST_RUN and no packet: none comes from port 0 of address 0, which the kernel
 * takes for a martian. Not counted. Addresses of the other family read as 0. */
static __always_inline int is_question(struct bpf_sk_lookup *ctx)
{
	return !ctx->remote_port && !ctx->remote_ip4 && !ctx->remote_ip6[0] &&
	       !ctx->remote_ip6[1] && !ctx->remote_ip6[2] && !ctx->remote_ip6[3];
}

static __always_inline int deliver(struct bpf_sk_lookup *ctx, __u32 verdict)
{
	__u32 id = ISOMER_VERDICT_ID(verdict);
	__u64 bad = 0, missed = 0, chosen = 0;
	struct isomer_metrics *m;
	void *slots;

	slots = bpf_map_lookup_elem(&sockets, &id);
	if (ctx->sk)
		chosen = 1;
	else
		missed = !slots || assign_any(ctx, slots, &bad) < 0;
	m = bpf_map_lookup_elem(&metrics, &id);
	if (m && !is_question(ctx)) {
		/* Not atomic: receiving is in softirq, which nothing on this CPU interrupts that
		 * could come here too. */
		m->lookups++;
		if (missed | bad | chosen) {
			m->misses += missed;
			m->errors[ISOMER_ERROR_BAD_SOCKET] += bad;
			m->errors[ISOMER_ERROR_OTHER_PROGRAM] += chosen;
		}
	}
	return missed && ISOMER_VERDICT_PASS(verdict) == ISOMER_MISS_DROP ? SK_DROP : SK_PASS;
}

SEC("sk_lookup")
int dispatcher(struct bpf_sk_lookup *ctx)
{
	__u32 verdict;

	if (ctx->family != AF_INET && ctx->family != AF_INET6)
		return SK_PASS;
	if (ctx->protocol != IPPROTO_TCP && ctx->protocol != IPPROTO_UDP)
		return SK_PASS;
	verdict = ruleset_search(ctx);
	return verdict ? deliver(ctx, verdict) : SK_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
