/* SPDX-License-Identifier: BSD-3-Clause */
/* The ways to bring what is sent to thousands of addresses to one server, each set up in a network
 * namespace of its own: what one of them asks of the kernel costs the others nothing.
 */
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

enum way_kind {
	WAY_PLAIN,  /* the server listens where it is asked: one address */
	WAY_ANYIP,  /* a route says that all of them are the host's, the server listens on any */
	WAY_ASSIGN, /* an sk_lookup program that does no more than count and assign */
	WAY_ISOMER,
	WAY_REFERENCE, /* one that finds its binding as the reference does */
	WAY_REDIRECT,
	WAY_DNAT,
	WAY_TPROXY,
};

enum way_set {
	SET_SPREAD, /* a binding an address; those that are asked lie far apart between others */
	SET_NEIGHBOURS, /* the same, but those that are asked lie side by side */
	SET_PORTS,      /* neighbours that are asked alone, many ports of each */
};

struct way {
	const char *name;
	enum way_kind kind;
	size_t bindings; /* 0 where it has none; 1 is of all addresses */
	enum way_set set;
};

extern const struct way ways[];
extern const size_t n_ways;

#define WAYS_MAX 20

/** Addresses that are asked in turn. */
#define WAY_TARGETS 4096

/** A way, set up for one protocol. */
struct place {
	const struct way *way;
	uint8_t protocol;
	char missing[160];         /* what the machine lacks for it; empty if nothing */
	int netns, server, client; /* client: of UDP alone */
	size_t next;               /* target */
	struct sockaddr_in targets[WAY_TARGETS];
	struct dispatcher_fixture *dispatcher;
	struct rivals *rivals;
	int link; /* of a rival, or -1 */
};

/** Moves into a new namespace, and stays there. */
void place_make(const struct way *way, uint8_t protocol, struct place *ret);
void place_enter(const struct place *p);
void place_done(struct place *p);
