// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
/* Registers the TCP listeners of a cgroup: also those of programs that no library can be preloaded
 * into, and that listen by io_uring. The kernel calls it at the end of each listen() that makes a
 * socket listen, when the socket may be put into a map already.
 *
 * The slots are found by id in the dispatcher's `sockets`, so that a label whose slots are renewed
 * is followed. A sock_ops program may put sockets into slots, and not look at them: a standby is
 * the lowest free one here, and not the one above the highest used as in state/slots.c.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/types.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <isomer/abi.h>
#include <isomer/attachment.h>

#include "sockets.bpf.h"

#define AF_INET  2
#define AF_INET6 10

/* Written by the loader before the program is attached. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ISOMER_ATTACHMENT_RULES);
	__type(key, __u32);
	__type(value, struct isomer_attachment_rule);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct isomer_attachment);
} state SEC(".maps");

/* The newest listener of a rule by label. The kernel takes it out when it is closed: as long as
 * there is one, the label's address and port stay what they are. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} holder SEC(".maps");

/* On sockets that are in slots: one that listens again stays as it is. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} registered SEC(".maps");

/* Set by the loader: does the kernel tell a sock_ops program the namespace (Linux 5.15)? */
const volatile __u32 knows_netns;

struct sock_common {
	unsigned char skc_ipv6only : 1;
} __attribute__((preserve_access_index));

struct sock {
	struct sock_common __sk_common;
} __attribute__((preserve_access_index));

/* The socket that listens. */
struct listener {
	__u32 domain; /* AF_INET for an IPv4-mapped address, too */
	__u32 addr[4];
	__u32 port;
	__u32 serves[2]; /* IPv4, IPv6 */
};

static __always_inline int is_v6only(struct bpf_sock *sk)
{
	struct sock *full = (struct sock *)bpf_skc_to_tcp6_sock(sk);

	return full && BPF_CORE_READ_BITFIELD(full, __sk_common.skc_ipv6only);
}

/* As isomer_socket_set_local() has it. */
static __always_inline void look(struct bpf_sock_ops *ctx, struct bpf_sock *sk, struct listener *l)
{
	l->port = ctx->local_port;
	if (ctx->family == AF_INET) {
		l->domain = AF_INET;
		l->addr[0] = ctx->local_ip4;
		l->serves[0] = 1;
		barrier(); /* clang 14 would merge the loads of both branches */
		return;
	}
	l->domain = AF_INET6;
	l->addr[0] = ctx->local_ip6[0];
	l->addr[1] = ctx->local_ip6[1];
	l->addr[2] = ctx->local_ip6[2];
	l->addr[3] = ctx->local_ip6[3];
	if (!l->addr[0] && !l->addr[1] && l->addr[2] == bpf_htonl(0xffff)) {
		l->domain = AF_INET;
		l->addr[0] = l->addr[3];
		l->addr[2] = l->addr[3] = 0;
		l->serves[0] = 1;
		return;
	}
	l->serves[1] = 1;
	if (!(l->addr[0] | l->addr[1] | l->addr[2] | l->addr[3]))
		l->serves[0] = !is_v6only(sk);
}

static __always_inline int matches(const struct isomer_attachment_rule *r, const struct listener *l)
{
	__u32 differs = 0;

	if (l->port < r->port_first || l->port > r->port_last)
		return 0;
	if (!r->domain)
		return 1;
	for (int i = 0; i < 4; i++)
		differs |= (l->addr[i] & r->mask[i]) ^ r->addr[i];
	return r->domain == l->domain && !differs;
}

static __always_inline const struct isomer_attachment_rule *
decide(const struct isomer_attachment *s, const struct listener *l)
{
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < ISOMER_ATTACHMENT_RULES; i++) {
		const struct isomer_attachment_rule *r;
		__u32 key = i; /* what a helper gets the address of has no bounds any more */

		if (i >= s->rules)
			break;
		r = bpf_map_lookup_elem(&rules, &key);
		if (r && matches(r, l))
			return r;
	}
	return 0;
}

/* Is the address the one that the label has taken in its domain, or has it none there yet? */
static __always_inline int is_same(const struct isomer_attachment *s, const struct listener *l,
				   int wide)
{
	__u32 differs = 0;

	for (int i = 0; i < 4; i++)
		differs |= s->addr[wide][i] ^ l->addr[i];
	return s->port == l->port && (!s->has_addr[wide] || !differs);
}

/* By label alone one address and port are registered, the first, as long as a listener there
 * lives. Two that come at once: who gets into the empty holder is the first. */
static __always_inline int claim(struct bpf_sock_ops *ctx, struct isomer_attachment *s,
				 const struct listener *l)
{
	int wide = l->domain == AF_INET6;
	__u32 zero = 0;

	if (bpf_sock_map_update(ctx, &holder, &zero, BPF_NOEXIST) == 0) {
		s->port = l->port;
		s->has_addr[0] = s->has_addr[1] = 0;
	} else if (!is_same(s, l, wide)) {
		return -1;
	} else {
		bpf_sock_map_update(ctx, &holder, &zero, BPF_ANY);
	}
	for (int i = 0; i < 4; i++)
		s->addr[wide][i] = l->addr[i];
	s->has_addr[wide] = 1;
	return 0;
}

/* Claims a standby, and then takes the traffic. */
static __always_inline int put(struct bpf_sock_ops *ctx, __u32 destination)
{
	void *slots = bpf_map_lookup_elem(&sockets, &destination);
	__u32 current = 0;

	if (!slots)
		return -1;
#pragma clang loop unroll(disable)
	for (__u32 n = 1; n < ISOMER_SLOTS; n++) {
		__u32 slot = n;

		if (bpf_sock_map_update(ctx, slots, &slot, BPF_NOEXIST) == 0)
			break;
	}
	return bpf_sock_map_update(ctx, slots, &current, BPF_ANY);
}

static __always_inline int put_all(struct bpf_sock_ops *ctx, const struct isomer_attachment_rule *r,
				   const struct listener *l)
{
	int ret = 0;

	if (l->serves[0])
		ret |= put(ctx, r->destination[0]);
	if (l->serves[1])
		ret |= put(ctx, r->destination[1]);
	return ret;
}

static __always_inline enum isomer_attachment_count enter(struct bpf_sock_ops *ctx,
							  struct isomer_attachment *s,
							  const struct isomer_attachment_rule *r,
							  const struct listener *l)
{
	struct bpf_sock *sk = ctx->sk;
	__u32 *mark;

	if (r->by_label && claim(ctx, s, l) < 0)
		return ISOMER_ATTACHMENT_AMBIGUOUS;
	if (put_all(ctx, r, l) != 0)
		return ISOMER_ATTACHMENT_FAILED;
	mark = sk ? bpf_sk_storage_get(&registered, sk, 0, BPF_SK_STORAGE_GET_F_CREATE) : 0;
	if (mark)
		*mark = 1;
	return ISOMER_ATTACHMENT_REGISTERED;
}

SEC("sockops")
int attachment(struct bpf_sock_ops *ctx)
{
	const struct isomer_attachment_rule *rule;
	enum isomer_attachment_count count;
	struct isomer_attachment *s;
	struct listener l = {};
	struct bpf_sock *sk;
	__u32 zero = 0;

	if (ctx->op != BPF_SOCK_OPS_TCP_LISTEN_CB)
		return 1;
	sk = ctx->sk;
	s = bpf_map_lookup_elem(&state, &zero);
	if (!s || !sk || bpf_sk_storage_get(&registered, sk, 0, 0))
		return 1;

	look(ctx, sk, &l);
	rule = decide(s, &l);
	if (!rule || rule->destination[0] == ISOMER_ATTACHMENT_NEVER)
		return 1;
	if (knows_netns && s->netns_cookie && bpf_get_netns_cookie(ctx) != s->netns_cookie)
		count = ISOMER_ATTACHMENT_OTHER_NETNS;
	else
		count = enter(ctx, s, rule, &l);
	__sync_fetch_and_add(&s->counts[count], 1);
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
