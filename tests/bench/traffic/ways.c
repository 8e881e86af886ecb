/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/traffic/ways.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench/figures.h"
#include "bench/lookup/programs.h"
#include "bench/lookup/rivals.h"
#include "state/cleanup.h"
#include "support/dispatcher_fixture.h"
#include "support/net.h"
#include "support/process.h"

#define ASKED_PORT  80
#define SERVER_PORT 8080 /* of servers that are not asked where they listen */

const struct way ways[] = {
	{ "plain listener, one address", WAY_PLAIN, 0 },
	{ "AnyIP route, wildcard listener", WAY_ANYIP, 0 },
	{ "program that only assigns", WAY_ASSIGN, 1 },
	{ "isomer, 1 binding", WAY_ISOMER, 1 },
	{ "isomer, 10,000 bindings", WAY_ISOMER, 10000 },
	{ "isomer, 100,000 bindings", WAY_ISOMER, 100000 },
	{ "isomer, 1,000,000 bindings", WAY_ISOMER, 1000000 },
	{ "reference's algorithm, 1", WAY_REFERENCE, 1 },
	{ "reference's algorithm, 10,000", WAY_REFERENCE, 10000 },
	{ "reference's algorithm, 100,000", WAY_REFERENCE, 100000 },
	{ "reference's algorithm, 1,000,000", WAY_REFERENCE, 1000000 },
	{ "nftables redirect, 1 rule", WAY_REDIRECT, 0 },
	{ "nftables dnat, 1 rule", WAY_DNAT, 0 },
	{ "nftables tproxy, 1 rule", WAY_TPROXY, 0 },
};
const size_t n_ways = sizeof(ways) / sizeof(*ways);
_Static_assert(sizeof(ways) / sizeof(*ways) <= WAYS_MAX, "room for all ways");

/* ---- what is asked ---- */

/* Spread over 10.0.0.0/8, so that no two of the addresses that are asked are neighbours in a large
 * set: an odd factor permutes the numbers of 24 bits. */
static struct in_addr address(size_t i)
{
	return (struct in_addr){ htonl(0x0a000000 | ((uint32_t)i * 0x9e3779b1 & 0xffffff)) };
}

static void set_targets(struct place *p)
{
	for (size_t i = 0; i < WAY_TARGETS; i++)
		p->targets[i] = (struct sockaddr_in){
			.sin_family = AF_INET,
			.sin_port = htons(ASKED_PORT),
			.sin_addr = p->way->kind == WAY_PLAIN
					    ? (struct in_addr){ htonl(INADDR_LOOPBACK) }
					    : address(i),
		};
}

/* One binding is of the whole network, more are one an address. */
static struct isomer_binding *make_set(const struct place *p)
{
	struct isomer_binding *set = calloc(p->way->bindings, sizeof(*set));

	if (!set)
		figures_give_up("memory");
	for (size_t i = 0; i < p->way->bindings; i++) {
		struct in_addr addr = address(i);

		set[i] = (struct isomer_binding){
			.domain = AF_INET,
			.protocol = p->protocol,
			.prefixlen = p->way->bindings == 1 ? 8 : 32,
			.port_first = ASKED_PORT,
			.port_last = ASKED_PORT,
		};
		memcpy(set[i].addr, &addr, sizeof(addr));
	}
	return set;
}

/* ---- commands ---- */

/* Runs a command of the shell, with @file as descriptor 3. When it fails, @ret is its first word on
 * that. */
static bool run(const char *command, int file, char *ret, size_t size)
{
	CLEANUP(command_done)
	struct command_result r = command_run(&(struct process_options){
		.argv = (const char *const[]){ "sh", "-c", command, NULL }, .pass_fd = file });

	if (r.status == 0)
		return true;
	snprintf(ret, size, "%.*s", (int)strcspn(r.err, "\n"), r.err);
	return false;
}

static void set_rules(struct place *p)
{
	CLEANUP_FD int file = memfd_create("rules", MFD_CLOEXEC);
	const char *protocol = p->protocol == IPPROTO_TCP ? "tcp" : "udp";
	bool tproxy = p->way->kind == WAY_TPROXY;

	/* What a host sends to itself is translated where it goes out. */
	if (dprintf(file,
		    "table ip bench {\n	chain bench {\n		type %s;\n"
		    "		ip daddr 10.0.0.0/8 %s dport %d %s:%d%s\n	}\n}\n",
		    tproxy ? "filter hook prerouting priority mangle"
			   : "nat hook output priority -100",
		    protocol, ASKED_PORT,
		    tproxy                         ? "tproxy to 127.0.0.1"
		    : p->way->kind == WAY_REDIRECT ? "redirect to "
						   : "dnat to 127.0.0.1",
		    SERVER_PORT, tproxy ? " accept" : "") < 0)
		figures_give_up("rules");
	(void)run("nft -f /proc/self/fd/3", file, p->missing, sizeof(p->missing));
}

/* ---- sockets ---- */

static void open_sockets(struct place *p)
{
	enum way_kind kind = p->way->kind;
	const char *ip = kind == WAY_ANYIP ? "0.0.0.0" : "127.0.0.1";
	uint16_t port = kind == WAY_ANYIP || kind == WAY_PLAIN ? ASKED_PORT : SERVER_PORT;
	const struct timeval patience = { .tv_sec = NET_TIMEOUT_MS / 1000 };
	const int one = 1;

	p->server = p->protocol == IPPROTO_TCP ? tcp_listen(ip, port) : udp_bind(ip, port);
	p->client = p->protocol == IPPROTO_TCP ? -1 : socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (p->server < 0 || (p->protocol == IPPROTO_UDP && p->client < 0) ||
	    setsockopt(p->server, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    (kind == WAY_TPROXY &&
	     setsockopt(p->server, SOL_IP, IP_TRANSPARENT, &one, sizeof(one)) < 0))
		figures_give_up("server");
}

static void load_isomer(struct place *p)
{
	CLEANUP_FREE struct isomer_binding *set = make_set(p);

	p->dispatcher = dispatcher_fixture_make(1);
	dispatcher_make_slots(p->dispatcher, 1);
	dispatcher_publish(p->dispatcher, set, p->way->bindings);
	dispatcher_register(p->dispatcher, 0, 0, p->server);
}

static void load_rival(struct place *p, enum program program)
{
	CLEANUP_FREE struct isomer_binding *set = make_set(p);
	int sockets[RIVALS_DESTINATIONS];

	for (int i = 0; i < RIVALS_DESTINATIONS; i++)
		sockets[i] = p->server;
	p->rivals = rivals_make(set, p->way->bindings, sockets);
	p->link =
		bpf_link_create(rivals_program(p->rivals, program), p->netns, BPF_SK_LOOKUP, NULL);
	if (p->link < 0)
		figures_give_up("attachment");
}

/* ---- places ---- */

static void enter_new_netns(struct place *p)
{
	if (unshare(CLONE_NEWNET) < 0)
		figures_give_up("namespace");
	p->netns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (p->netns < 0)
		figures_give_up("namespace");
	if (!run("ip link set lo up && ip route add local 10.0.0.0/8 dev lo", 0, p->missing,
		 sizeof(p->missing))) {
		fprintf(stderr, "ip: %s\n", p->missing);
		exit(EXIT_FAILURE);
	}
}

void place_make(const struct way *way, uint8_t protocol, struct place *ret)
{
	*ret = (struct place){ .way = way, .protocol = protocol, .link = -1 };
	enter_new_netns(ret);
	set_targets(ret);
	open_sockets(ret);
	switch (way->kind) {
	case WAY_PLAIN:
	case WAY_ANYIP:
		break;
	case WAY_ASSIGN:
		load_rival(ret, PROGRAM_ASSIGN);
		break;
	case WAY_REFERENCE:
		load_rival(ret, PROGRAM_REFERENCE);
		break;
	case WAY_ISOMER:
		load_isomer(ret);
		break;
	case WAY_REDIRECT:
	case WAY_DNAT:
	case WAY_TPROXY:
		set_rules(ret);
		break;
	}
}

void place_enter(const struct place *p)
{
	if (setns(p->netns, CLONE_NEWNET) < 0)
		figures_give_up("namespace");
}

void place_done(struct place *p)
{
	dispatcher_fixture_freep(&p->dispatcher);
	if (p->rivals)
		rivals_free(p->rivals);
	if (p->link >= 0)
		close(p->link);
	if (p->client >= 0)
		close(p->client);
	close(p->server);
	close(p->netns);
}
