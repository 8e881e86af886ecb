/* SPDX-License-Identifier: BSD-3-Clause */
/* The dispatcher on real connections and datagrams. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "state/cleanup.h"
#include "support/bpf_objects.h"
#include "support/dispatcher_fixture.h"
#include "support/net.h"
#include "support/netns.h"

#define FIXTURE CLEANUP(dispatcher_fixture_freep) struct dispatcher_fixture *

/* Destinations of the tests. */
enum { WEB, DNS, OTHER, N_DESTINATIONS };

static struct dispatcher_fixture *make(void **state)
{
	struct dispatcher_fixture *f;

	netns_or_skip(state);
	f = dispatcher_fixture_make(N_DESTINATIONS);
	dispatcher_make_slots(f, N_DESTINATIONS);
	return f;
}

/* @port 0: all ports. */
static struct isomer_binding rule(const char *ip, uint8_t length, uint8_t protocol, uint16_t port,
				  uint32_t destination)
{
	struct isomer_binding b = {
		.domain = strchr(ip, ':') ? AF_INET6 : AF_INET,
		.protocol = protocol,
		.prefixlen = length,
		.port_first = port,
		.port_last = port ? port : 65535,
		.destination = destination,
	};

	assert_int_equal(inet_pton(b.domain, ip, b.addr), 1);
	return b;
}

static void publish_one(struct dispatcher_fixture *f, struct isomer_binding b)
{
	dispatcher_publish(f, &b, 1);
}

static int listener(const char *ip)
{
	int fd = tcp_listen(ip, 0);

	assert_return_code(fd, -fd);
	return fd;
}

static void assert_metrics(const struct dispatcher_fixture *f, uint32_t destination,
			   uint64_t lookups, uint64_t misses, uint64_t bad, uint64_t other)
{
	struct isomer_metrics m = dispatcher_metrics(f, destination);

	assert_int_equal(m.lookups, lookups);
	assert_int_equal(m.misses, misses);
	assert_int_equal(m.errors[ISOMER_ERROR_BAD_SOCKET], bad);
	assert_int_equal(m.errors[ISOMER_ERROR_OTHER_PROGRAM], other);
}

static void bound_address_reaches_the_socket(void **state)
{
	FIXTURE f = make(state);
	CLEANUP_FD int web = listener("127.0.0.1");

	publish_one(f, rule("127.1.0.0", 16, IPPROTO_TCP, 80, WEB));
	dispatcher_register(f, WEB, 0, web);
	assert_int_equal(tcp_who_accepts("127.1.2.3", 80, &web, 1), 0);
	assert_int_equal(tcp_connect("127.1.2.3", 81), -ECONNREFUSED);
	assert_int_equal(tcp_connect("127.2.2.3", 80), -ECONNREFUSED);
	assert_int_equal(udp_who_receives("127.1.2.3", 80, &web, 1), -ECONNREFUSED);
	assert_metrics(f, WEB, 1, 0, 0, 0);
}

static void datagrams_reach_the_socket(void **state)
{
	FIXTURE f = make(state);
	CLEANUP_FD int dns = udp_bind("127.0.0.1", 0);

	publish_one(f, rule("127.1.0.0", 16, IPPROTO_UDP, 53, DNS));
	dispatcher_register(f, DNS, 0, dns);
	assert_int_equal(udp_who_receives("127.1.2.3", 53, &dns, 1), 0);
	assert_int_equal(udp_who_receives("127.1.2.3", 54, &dns, 1), -ECONNREFUSED);
	assert_metrics(f, DNS, 1, 0, 0, 0);
}

static void ipv6_reaches_the_socket(void **state)
{
	FIXTURE f = make(state);
	CLEANUP_FD int web = listener("::1");

	publish_one(f, rule("::1", 128, IPPROTO_TCP, 0, WEB));
	dispatcher_register(f, WEB, 0, web);
	assert_int_equal(tcp_who_accepts("::1", 80, &web, 1), 0);
	assert_int_equal(tcp_who_accepts("::1", 65535, &web, 1), 0);
}

static void miss_drops_or_passes_as_the_binding_says(void **state)
{
	FIXTURE f = make(state);
	CLEANUP_FD int tcp = tcp_listen("0.0.0.0", 80), udp = udp_bind("0.0.0.0", 80);
	struct isomer_binding b[] = {
		rule("127.1.0.0", 16, IPPROTO_TCP, 80, WEB),
		rule("127.1.0.0", 16, IPPROTO_UDP, 80, DNS),
	};

	assert_int_equal(tcp_who_accepts("127.1.2.3", 80, &tcp, 1), 0);
	dispatcher_publish(f, b, 2);
	assert_int_equal(tcp_connect("127.1.2.3", 80), -ECONNREFUSED);
	assert_int_equal(udp_who_receives("127.1.2.3", 80, &udp, 1), -ECONNREFUSED);
	assert_metrics(f, WEB, 1, 1, 0, 0);
	assert_metrics(f, DNS, 1, 1, 0, 0);
	b[0].miss = b[1].miss = ISOMER_MISS_PASS;
	dispatcher_publish(f, b, 2);
	assert_int_equal(tcp_who_accepts("127.1.2.3", 80, &tcp, 1), 0);
	assert_int_equal(udp_who_receives("127.1.2.3", 80, &udp, 1), 0);
	assert_metrics(f, WEB, 2, 2, 0, 0);
	assert_metrics(f, DNS, 2, 2, 0, 0);
}

static void destination_without_slots_is_a_miss(void **state)
{
	FIXTURE f = NULL;
	CLEANUP_FD int tcp = tcp_listen("0.0.0.0", 80);
	struct isomer_binding b;

	netns_or_skip(state);
	f = dispatcher_fixture_make(N_DESTINATIONS);
	/* The first has a counter, the second is none at all. */
	for (uint32_t id = N_DESTINATIONS - 1; id <= N_DESTINATIONS; id++) {
		b = rule("127.1.0.0", 16, IPPROTO_TCP, 80, id);
		publish_one(f, b);
		assert_int_equal(tcp_connect("127.1.2.3", 80), -ECONNREFUSED);
		b.miss = ISOMER_MISS_PASS;
		publish_one(f, b);
		assert_int_equal(tcp_who_accepts("127.1.2.3", 80, &tcp, 1), 0);
	}
	assert_metrics(f, N_DESTINATIONS - 1, 2, 2, 0, 0);
}

static void newest_standby_follows_the_current_socket(void **state)
{
	FIXTURE f = make(state);
	int slots[ISOMER_SLOTS];

	publish_one(f, rule("127.1.0.0", 16, IPPROTO_TCP, 80, WEB));
	for (uint32_t slot = 0; slot < ISOMER_SLOTS; slot++) {
		slots[slot] = listener("127.0.0.1");
		dispatcher_register(f, WEB, slot, slots[slot]);
	}
	/* Each dies after its turn: 0, then 15 down to 1. */
	for (int turn = 0; turn < ISOMER_SLOTS; turn++) {
		int slot = turn ? ISOMER_SLOTS - turn : 0;

		assert_int_equal(tcp_who_accepts("127.1.2.3", 80, slots, ISOMER_SLOTS), slot);
		close(slots[slot]);
		slots[slot] = -1;
	}
	assert_int_equal(tcp_connect("127.1.2.3", 80), -ECONNREFUSED);
	assert_metrics(f, WEB, ISOMER_SLOTS + 1, 1, 0, 0);
}

static void listener_that_was_shut_down_is_skipped_until_it_listens(void **state)
{
	FIXTURE f = make(state);
	CLEANUP_FD int current = listener("127.0.0.1"), standby = listener("127.0.0.1");
	const int both[] = { current, standby };

	publish_one(f, rule("127.1.0.0", 16, IPPROTO_TCP, 80, WEB));
	dispatcher_register(f, WEB, 0, current);
	dispatcher_register(f, WEB, 7, standby);
	assert_int_equal(tcp_who_accepts("127.1.2.3", 80, both, 2), 0);
	assert_return_code(shutdown(current, SHUT_RD), errno);
	assert_int_equal(tcp_who_accepts("127.1.2.3", 80, both, 2), 1);
	assert_metrics(f, WEB, 2, 0, 1, 0);
	assert_return_code(shutdown(standby, SHUT_RD), errno);
	assert_int_equal(tcp_connect("127.1.2.3", 80), -ECONNREFUSED);
	assert_metrics(f, WEB, 3, 1, 2, 0); /* once for both */
	assert_return_code(listen(current, 1), errno);
	assert_int_equal(tcp_who_accepts("127.1.2.3", 80, both, 2), 0);
	assert_metrics(f, WEB, 4, 1, 2, 0);
}

static void connected_udp_socket_is_skipped_until_it_is_free(void **state)
{
	FIXTURE f = make(state);
	/* With a port of the kernel's choice it would lose it with the connection. */
	CLEANUP_FD int current = udp_bind("127.0.0.1", 5300), standby = udp_bind("127.0.0.1", 0);
	const struct sockaddr unspecified = { .sa_family = AF_UNSPEC };
	const int both[] = { current, standby };
	struct sockaddr_storage peer;
	socklen_t len = net_address("127.0.0.1", 9, &peer);

	publish_one(f, rule("127.1.0.0", 16, IPPROTO_UDP, 53, DNS));
	dispatcher_register(f, DNS, 0, current);
	dispatcher_register(f, DNS, 15, standby);
	assert_int_equal(udp_who_receives("127.1.2.3", 53, both, 2), 0);
	assert_return_code(connect(current, (struct sockaddr *)&peer, len), errno);
	assert_int_equal(udp_who_receives("127.1.2.3", 53, both, 2), 1);
	assert_metrics(f, DNS, 2, 0, 1, 0);
	assert_return_code(connect(current, &unspecified, sizeof(unspecified)), errno);
	assert_int_equal(udp_who_receives("127.1.2.3", 53, both, 2), 0);
	assert_metrics(f, DNS, 3, 0, 1, 0);
}

/* A program that runs before the dispatcher and chooses the socket in the one slot of @map. */
static int load_other_program(int map)
{
	const struct bpf_insn instructions[] = {
		/* r6 = ctx; key on the stack = 0 */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1 },
		{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4, .imm = 0 },
		/* r0 = bpf_map_lookup_elem(map, &key), or leave */
		{ .code = BPF_LD | BPF_DW | BPF_IMM,
		  .dst_reg = 1,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map },
		{ 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 7, .imm = 0 },
		/* bpf_sk_assign(ctx, r7 = r0, 0); bpf_sk_release(r7) */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 7, .src_reg = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 6 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_sk_assign },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 7 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_sk_release },
		/* return SK_PASS */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = SK_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_SK_LOOKUP);
	int fd;

	fd = bpf_prog_load(BPF_PROG_TYPE_SK_LOOKUP, "other", "GPL", instructions,
			   sizeof(instructions) / sizeof(*instructions), &options);
	assert_return_code(fd, errno);
	return fd;
}

/* Programs run in the order in which they were attached: this one must come first. */
static int attach_other_program(int socket)
{
	CLEANUP_FD int map = bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "other", sizeof(uint32_t),
					    sizeof(uint64_t), 1, NULL);
	CLEANUP_FD int program = -1, netns = -1;
	const uint64_t value = (uint64_t)socket;
	const uint32_t key = 0;
	int link;

	assert_return_code(map, errno);
	assert_return_code(bpf_map_update_elem(map, &key, &value, BPF_ANY), errno);
	program = load_other_program(map);
	netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_return_code(netns, errno);
	link = bpf_link_create(program, netns, BPF_SK_LOOKUP, NULL);
	assert_return_code(link, errno);
	return link;
}

static void choice_of_another_program_is_left_alone(void **state)
{
	FIXTURE f = NULL;
	CLEANUP_FD int link = -1, web = -1, other = -1;
	int both[2];

	netns_or_skip(state);
	both[0] = web = listener("127.0.0.1");
	both[1] = other = listener("127.0.0.1");
	link = attach_other_program(other);
	f = make(state);
	publish_one(f, rule("127.1.0.0", 16, IPPROTO_TCP, 80, WEB));
	dispatcher_register(f, WEB, 0, web);
	assert_int_equal(tcp_who_accepts("127.1.2.3", 80, both, 2), 1);
	assert_metrics(f, WEB, 1, 0, 0, 1);
	/* Neither is a drop of ours heard: there is no socket in the slots. */
	publish_one(f, rule("127.1.0.0", 16, IPPROTO_TCP, 80, OTHER));
	assert_int_equal(tcp_who_accepts("127.1.2.3", 80, both, 2), 1);
	assert_metrics(f, OTHER, 1, 0, 0, 1);
	close(TAKE_FD(link));
	assert_int_equal(tcp_connect("127.1.2.3", 80), -ECONNREFUSED);
	assert_metrics(f, OTHER, 2, 1, 0, 1);
}

static void rules_of_one_family_do_not_touch_the_other(void **state)
{
	FIXTURE f = make(state);
	CLEANUP_FD int v4 = tcp_listen("127.0.0.1", 22), v6 = tcp_listen("::1", 22);

	publish_one(f, rule("::", 0, IPPROTO_TCP, 0, WEB));
	assert_int_equal(tcp_who_accepts("127.0.0.1", 22, &v4, 1), 0);
	assert_int_equal(tcp_connect("::1", 22), -ECONNREFUSED);
	assert_metrics(f, WEB, 1, 1, 0, 0);
	publish_one(f, rule("0.0.0.0", 0, IPPROTO_TCP, 0, WEB));
	assert_int_equal(tcp_who_accepts("::1", 22, &v6, 1), 0);
	assert_int_equal(tcp_connect("127.0.0.1", 22), -ECONNREFUSED);
	assert_metrics(f, WEB, 2, 2, 0, 0);
}

static void rules_of_one_protocol_do_not_touch_the_other(void **state)
{
	FIXTURE f = make(state);
	CLEANUP_FD int tcp = tcp_listen("127.0.0.1", 53), udp = udp_bind("127.0.0.1", 53);

	publish_one(f, rule("0.0.0.0", 0, IPPROTO_TCP, 0, WEB));
	assert_int_equal(udp_who_receives("127.0.0.1", 53, &udp, 1), 0);
	assert_int_equal(tcp_connect("127.0.0.1", 53), -ECONNREFUSED);
	publish_one(f, rule("0.0.0.0", 0, IPPROTO_UDP, 0, DNS));
	assert_int_equal(tcp_who_accepts("127.0.0.1", 53, &tcp, 1), 0);
	assert_int_equal(udp_who_receives("127.0.0.1", 53, &udp, 1), -ECONNREFUSED);
}

static void dual_stack_socket_serves_ipv4(void **state)
{
	FIXTURE f = make(state);
	CLEANUP_FD int tcp = tcp_listen_dual(8080), udp = udp_bind_dual(8080);
	struct isomer_binding b[] = {
		rule("127.1.0.0", 16, IPPROTO_TCP, 80, WEB),
		rule("127.1.0.0", 16, IPPROTO_UDP, 53, DNS),
	};

	dispatcher_publish(f, b, 2);
	dispatcher_register(f, WEB, 0, tcp);
	dispatcher_register(f, DNS, 0, udp);
	assert_int_equal(tcp_who_accepts("127.1.2.3", 80, &tcp, 1), 0);
	assert_int_equal(udp_who_receives("127.1.2.3", 53, &udp, 1), 0);
}

static void reuseport_group_shares_the_traffic(void **state)
{
	FIXTURE f = make(state);
	CLEANUP_FD int first = tcp_listen_reuseport("127.0.0.1", 8080);
	CLEANUP_FD int second = tcp_listen_reuseport("127.0.0.1", 8080);
	const int both[] = { first, second };
	int count[2] = { 0 };

	publish_one(f, rule("127.1.0.0", 16, IPPROTO_TCP, 80, WEB));
	dispatcher_register(f, WEB, 0, first);
	for (int i = 0; i < 64; i++) {
		int who = tcp_who_accepts("127.1.2.3", 80, both, 2);

		assert_in_range(who, 0, 1);
		count[who]++;
	}
	assert_in_range(count[0], 1, 63);
}

static void counters_of_all_cpus_add_up(void **state)
{
	FIXTURE f = make(state);
	CLEANUP_FD int web = listener("127.0.0.1");
	struct isomer_binding b[] = {
		rule("127.1.0.0", 16, IPPROTO_TCP, 80, WEB),
		rule("127.1.0.0", 16, IPPROTO_TCP, 81, OTHER),
	};

	dispatcher_publish(f, b, 2);
	dispatcher_register(f, WEB, 0, web);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(tcp_who_accepts("127.1.2.3", 80, &web, 1), 0);
		if (i % 4 == 0)
			assert_int_equal(tcp_connect("127.1.2.3", 81), -ECONNREFUSED);
		assert_int_equal(tcp_connect("127.1.2.3", 82), -ECONNREFUSED);
	}
	assert_metrics(f, WEB, 100, 0, 0, 0);
	assert_metrics(f, OTHER, 25, 25, 0, 0);
	assert_metrics(f, DNS, 0, 0, 0, 0);
}

static void new_ruleset_takes_force_at_once(void **state)
{
	FIXTURE f = make(state);
	CLEANUP_FD int web = listener("127.0.0.1"), other = listener("127.0.0.1");
	const int both[] = { web, other };
	struct isomer_binding many[5000];

	dispatcher_register(f, WEB, 0, web);
	dispatcher_register(f, OTHER, 0, other);
	for (uint32_t i = 0; i < 5000; i++) {
		uint32_t addr = htonl(0x7f010000 + i);

		many[i] = rule("0.0.0.0", 32, IPPROTO_TCP, 80, OTHER);
		memcpy(many[i].addr, &addr, sizeof(addr));
	}
	for (int i = 0; i < 5; i++) {
		publish_one(f, rule("127.1.0.0", 16, IPPROTO_TCP, 80, WEB));
		assert_int_equal(tcp_who_accepts("127.1.2.3", 80, both, 2), 0);
		dispatcher_publish(f, many, 5000);
		assert_int_equal(tcp_who_accepts("127.1.2.3", 80, both, 2), 1);
		dispatcher_publish(f, NULL, 0);
		assert_int_equal(tcp_connect("127.1.2.3", 80), -ECONNREFUSED);
	}
	assert_metrics(f, WEB, 5, 0, 0, 0);
	assert_metrics(f, OTHER, 5, 0, 0, 0);
}

/* Older kernels process more, so that the limit of a million has to be far. */
static void verifier_processes_a_quarter_of_what_it_allows(void **state)
{
	CLEANUP(dispatcher_fixture_freep) struct dispatcher_fixture *f = NULL;
	struct bpf_prog_info info;

	netns_or_skip(state);
	f = dispatcher_fixture_make(1);
	assert_int_equal(object_program_info(dispatcher_program(f), &info), 0);
	if (!info.verified_insns)
		skip_before_linux(5, 16, "count of the instructions that the verifier processed");
	assert_in_range(info.verified_insns, 1, 250000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(bound_address_reaches_the_socket),
		netns_test(datagrams_reach_the_socket),
		netns_test(ipv6_reaches_the_socket),
		netns_test(miss_drops_or_passes_as_the_binding_says),
		netns_test(destination_without_slots_is_a_miss),
		netns_test(newest_standby_follows_the_current_socket),
		netns_test(listener_that_was_shut_down_is_skipped_until_it_listens),
		netns_test(connected_udp_socket_is_skipped_until_it_is_free),
		netns_test(choice_of_another_program_is_left_alone),
		netns_test(rules_of_one_family_do_not_touch_the_other),
		netns_test(rules_of_one_protocol_do_not_touch_the_other),
		netns_test(dual_stack_socket_serves_ipv4),
		netns_test(reuseport_group_shares_the_traffic),
		netns_test(counters_of_all_cpus_add_up),
		netns_test(new_ruleset_takes_force_at_once),
		netns_test(verifier_processes_a_quarter_of_what_it_allows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
