/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* What the dispatcher is compared with: a program that does nothing, one that does no more than
 * count and assign, and one that finds its binding as the reference does: by two look-ups in one
 * LPM trie, the port's and that of all ports, of which the longer prefix wins.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "rivals.h"

#define AF_INET 2

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct rival_key);
	__type(value, struct rival_binding);
} bindings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, RIVALS_DESTINATIONS);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

struct counters {
	__u64 lookups, misses, errors;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RIVALS_DESTINATIONS);
	__type(key, __u32);
	__type(value, struct counters);
} metrics SEC(".maps");

static __always_inline int deliver(struct bpf_sk_lookup *ctx, __u32 destination)
{
	struct counters *m = bpf_map_lookup_elem(&metrics, &destination);
	struct bpf_sock *sk;
	long r;

	if (!m)
		return SK_DROP;
	m->lookups++;
	sk = bpf_map_lookup_elem(&sockets, &destination);
	if (!sk) {
		m->misses++;
		return SK_DROP;
	}
	r = bpf_sk_assign(ctx, sk, 0);
	bpf_sk_release(sk);
	if (r < 0)
		m->errors++;
	return r < 0 ? SK_DROP : SK_PASS;
}

SEC("sk_lookup")
int empty(struct bpf_sk_lookup *ctx)
{
	return ctx->family ? SK_PASS : SK_DROP;
}

SEC("sk_lookup")
int assign(struct bpf_sk_lookup *ctx)
{
	return deliver(ctx, 0);
}

SEC("sk_lookup")
int reference(struct bpf_sk_lookup *ctx)
{
	struct rival_key key = { .prefixlen = RIVAL_KEY_PORTS + 128,
				 .protocol = ctx->protocol,
				 .port = ctx->local_port };
	const struct rival_binding *exact, *all, *best;

	if (ctx->family == AF_INET) {
		key.addr[2] = bpf_htonl(0xffff);
		key.addr[3] = ctx->local_ip4;
		/* As in the dispatcher: clang 14 would merge the loads of both branches. */
		barrier();
	} else {
		key.addr[0] = ctx->local_ip6[0];
		key.addr[1] = ctx->local_ip6[1];
		key.addr[2] = ctx->local_ip6[2];
		key.addr[3] = ctx->local_ip6[3];
	}
	exact = bpf_map_lookup_elem(&bindings, &key);
	key.port = 0;
	all = bpf_map_lookup_elem(&bindings, &key);
	best = exact;
	if (all && (!exact || all->prefixlen > exact->prefixlen))
		best = all;
	return best ? deliver(ctx, best->destination) : SK_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
