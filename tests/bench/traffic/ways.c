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
	{ "plain listener, one address", WAY_PLAIN, 0, SET_SPREAD },
	{ "AnyIP route, wildcard listener", WAY_ANYIP, 0, SET_SPREAD },
	{ "program that only assigns", WAY_ASSIGN, 1, SET_SPREAD },
	{ "isomer, 1 binding", WAY_ISOMER, 1, SET_SPREAD },
	{ "isomer, 10,000 bindings", WAY_ISOMER, 10000, SET_SPREAD },
	{ "isomer, 100,000 bindings", WAY_ISOMER, 100000, SET_SPREAD },
	{ "isomer, 1,000,000 bindings", WAY_ISOMER, 1000000, SET_SPREAD },
	{ "isomer, 100,000, neighbours", WAY_ISOMER, 100000, SET_NEIGHBOURS },
	{ "isomer, 100,000, 24 ports each", WAY_ISOMER, 100000, SET_PORTS },
	{ "reference's algorithm, 1", WAY_REFERENCE, 1, SET_SPREAD },
	{ "reference's algorithm, 10,000", WAY_REFERENCE, 10000, SET_SPREAD },
	{ "reference's algorithm, 100,000", WAY_REFERENCE, 100000, SET_SPREAD },
	{ "reference's algorithm, 1,000,000", WAY_REFERENCE, 1000000, SET_SPREAD },
	{ "reference's, 100,000, neighbours", WAY_REFERENCE, 100000, SET_NEIGHBOURS },
	{ "reference's, 100,000, 24 ports each", WAY_REFERENCE, 100000, SET_PORTS },
	{ "nftables redirect, 1 rule", WAY_REDIRECT, 0, SET_SPREAD },
	{ "nftables dnat, 1 rule", WAY_DNAT, 0, SET_SPREAD },
	{ "nftables tproxy, 1 rule", WAY_TPROXY, 0, SET_SPREAD },
};
const size_t n_ways = sizeof(ways) / sizeof(*ways);
_Static_assert(sizeof(ways) / sizeof(*ways) <= WAYS_MAX, "room for all ways");

/* ---- what is asked ---- */

/* Both halves of 10.0.0.0/8: addresses side by side, and some that an odd factor spreads, as it
 * permutes the numbers of so many bits. */
#define NEIGHBOUR(i) (0x0a800000 | (uint32_t)(i))
#define SPREAD(i)    (0x0a000000 | ((uint32_t)(i)*0x9e3779b1 & 0x7fffff))

/* Binding number @i of a set, of which the first are asked, as an address and a port. */
static struct sockaddr_in binding(enum way_set set, size_t i)
{
	uint32_t addr = SPREAD(i);
	uint16_t port = ASKED_PORT;

	if (set == SET_NEIGHBOURS && i < WAY_TARGETS)
		addr = NEIGHBOUR(i);
	if (set == SET_PORTS) {
		addr = NEIGHBOUR(i % WAY_TARGETS);
		port += i / WAY_TARGETS;
	}
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(addr),
	};
}

static void set_targets(struct place *p)
{
	/* Each address on another port, as far as all addresses have it. */
	size_t ports = p->way->set == SET_PORTS ? p->way->bindings / WAY_TARGETS : 1;

	for (size_t i = 0; i < WAY_TARGETS; i++) {
		p->targets[i] = binding(p->way->set, i + i % ports * WAY_TARGETS);
		if (p->way->kind == WAY_PLAIN)
			p->targets[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	}
}

static struct isomer_binding *make_set(const struct place *p)
{
	struct isomer_binding *set = calloc(p->way->bindings, sizeof(*set));

	if (!set)
		figures_give_up("memory");
	for (size_t i = 0; i < p->way->bindings; i++) {
		struct sockaddr_in to = binding(p->way->set, i);

		set[i] = (struct isomer_binding){
			.domain = AF_INET,
			.protocol = p->protocol,
			.prefixlen = p->way->bindings == 1 ? 8 : 32,
			.port_first = ntohs(to.sin_port),
			.port_last = ntohs(to.sin_port),
		};
		memcpy(set[i].addr, &to.sin_addr, sizeof(to.sin_addr));
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
