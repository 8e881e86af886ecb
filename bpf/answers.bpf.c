// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
/* Answers of the UDP sockets of a cgroup that `attach` has registered leave from the address that
 * the client wrote to. What comes in is noted for each peer, what goes out without a source gets
 * the one that is noted. The port stays the socket's own: no hook can set another.
 *
 * Apart from the dispatcher, which would have to note it for all sockets: this costs only where
 * it is attached, and sees what reaches the socket without a binding, too.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/types.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define PEERS 65536 /* about 8 MB, there from the start */

#define FRAGMENT_OFFSET 0x1fff

/* IPv4 as IPv4-mapped, as dual-stack sockets have both. */
struct address {
	__be32 word[4];
};

struct peer {
	__u64 cookie; /* of the socket that it wrote to */
	struct address addr;
	__be32 port;
	__u32 reserved;
};

/* Full: the peer that has been silent longest is forgotten. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, PEERS);
	__type(key, struct peer);
	__type(value, struct address);
} peers SEC(".maps");

/* On the sockets that the loader has registered, by which it writes here. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} answering SEC(".maps");

static __always_inline void set_mapped(struct address *a, __be32 ipv4)
{
	a->word[0] = a->word[1] = 0;
	a->word[2] = bpf_htonl(0xffff);
	a->word[3] = ipv4;
}

/* Nothing can be sent from a group or from everybody. */
static __always_inline int is_source4(__be32 addr)
{
	__u32 first = bpf_ntohl(addr) >> 24;

	return first != 0 && first < 224;
}

/* A link-local one the kernel itself chooses, by the link. */
static __always_inline int is_source6(const struct address *a)
{
	__u32 first = bpf_ntohl(a->word[0]);

	return first >> 24 != 0xff && first >> 22 != 0xfe80U >> 6;
}

/* Read the peer's address and port and the local address, from the start of the IP header. */
static __always_inline int read_ipv4(struct __sk_buff *skb, struct peer *p, struct address *local)
{
	struct iphdr ip;
	struct udphdr udp;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)) < 0 || ip.protocol != IPPROTO_UDP ||
	    ip.frag_off & bpf_htons(FRAGMENT_OFFSET) || !is_source4(ip.daddr) ||
	    bpf_skb_load_bytes(skb, ip.ihl * 4, &udp, sizeof(udp)) < 0)
		return -1;
	set_mapped(&p->addr, ip.saddr);
	set_mapped(local, ip.daddr);
	p->port = udp.source;
	return 0;
}

/* With extension headers: not noted. */
static __always_inline int read_ipv6(struct __sk_buff *skb, struct peer *p, struct address *local)
{
	struct ipv6hdr ip;
	struct udphdr udp;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)) < 0 || ip.nexthdr != IPPROTO_UDP ||
	    bpf_skb_load_bytes(skb, sizeof(ip), &udp, sizeof(udp)) < 0)
		return -1;
	__builtin_memcpy(&p->addr, &ip.saddr, sizeof(p->addr));
	__builtin_memcpy(local, &ip.daddr, sizeof(*local));
	p->port = udp.source;
	return is_source6(local) ? 0 : -1;
}

SEC("cgroup_skb/ingress")
int note(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct address local = {};
	struct peer p = {};
	int r = -1;

	sk = sk ? bpf_sk_fullsock(sk) : 0;
	if (!sk || sk->protocol != IPPROTO_UDP || !bpf_sk_storage_get(&answering, sk, 0, 0))
		return 1;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		r = read_ipv4(skb, &p, &local);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		r = read_ipv6(skb, &p, &local);
	if (r < 0)
		return 1;
	p.cookie = bpf_get_socket_cookie(skb);
	bpf_map_update_elem(&peers, &p, &local, BPF_ANY);
	return 1;
}

static __always_inline const struct address *noted(struct bpf_sock_addr *ctx, struct peer *p)
{
	struct bpf_sock *sk = ctx->sk;

	if (!sk || !bpf_sk_storage_get(&answering, sk, 0, 0))
		return 0;
	p->cookie = bpf_get_socket_cookie(ctx);
	p->port = ctx->user_port;
	return bpf_map_lookup_elem(&peers, p);
}

/* Also for IPv4-mapped destinations of IPv6 sockets. A source that the program chose, or that the
 * socket is bound to, is there already. */
SEC("cgroup/sendmsg4")
int answer4(struct bpf_sock_addr *ctx)
{
	const struct address *local;
	struct peer p = {};

	if (ctx->msg_src_ip4)
		return 1;
	set_mapped(&p.addr, ctx->user_ip4);
	local = noted(ctx, &p);
	if (local)
		ctx->msg_src_ip4 = local->word[3];
	return 1;
}

SEC("cgroup/sendmsg6")
int answer6(struct bpf_sock_addr *ctx)
{
	const struct address *local;
	struct peer p = {};

	if (ctx->msg_src_ip6[0] || ctx->msg_src_ip6[1] || ctx->msg_src_ip6[2] ||
	    ctx->msg_src_ip6[3])
		return 1;
	p.addr.word[0] = ctx->user_ip6[0];
	p.addr.word[1] = ctx->user_ip6[1];
	p.addr.word[2] = ctx->user_ip6[2];
	p.addr.word[3] = ctx->user_ip6[3];
	local = noted(ctx, &p);
	if (!local)
		return 1;
	ctx->msg_src_ip6[0] = local->word[0];
	ctx->msg_src_ip6[1] = local->word[1];
	ctx->msg_src_ip6[2] = local->word[2];
	ctx->msg_src_ip6[3] = local->word[3];
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
