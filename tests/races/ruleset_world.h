/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel that writers, a reader and a packet meet at: a model of what it promises, and of no
 * more. A map goes in the moment when nothing holds it any more, also while a packet reads it; and
 * the update of `ruleset` returns when no packet is under way that may have seen what was there
 * before (that of `pages` does so, too, but nothing needs it). Defines what loader/index.c and
 * bpf/dispatcher.bpf.c call.
 */
#pragma once

#include <stdint.h>

#include "loader/ruleset.h"

enum { WRITER, SECOND_WRITER, PACKET, READER, PROCESSES };

#define SETS       3 /* of bindings: what is in force at the beginning, and one of each writer */
#define SET_MAX    2 /* bindings in one: two make an index of more than one page */
#define MAPS       12
#define FDS        8
#define RULESET_FD 100
#define PAGES_FD   101
#define PAGES_MAX  2

enum kind { FREE, LIST, RULES, PAGES };

/* The kernel's id of a map is its place + 1. */
struct map {
	uint8_t kind;
	uint8_t pinned, in_force, frozen;
	uint8_t written; /* pages of an index, as a mask; of a list, whether it is */
	uint8_t set;     /* whose contents it has */
	uint8_t list;    /* of an index: what its header says, */
	uint8_t place;   /* and that */
	uint8_t gone;    /* nobody held it any more */
};

struct world {
	struct map map[MAPS];
	uint8_t fd[FDS], owner[FDS];  /* map and process, both + 1; 0: free */
	uint8_t place[ISOMER_PLACES]; /* `pages`: ids of maps; 0: none */
	uint8_t n_maps;
	uint8_t lock;                /* who writes, + 1 */
	uint8_t updating;            /* the writer is in the update, which cannot be interrupted */
	uint8_t under_way, outdated; /* is the packet; is it since before the update */
	uint8_t seen[PROCESSES];     /* sets in force since the process has begun */
};

/** To compile before the exploration: what the sets are. */
extern struct isomer_binding world_binding[SETS][SET_MAX];
extern size_t world_bindings[SETS];
extern struct ruleset world_compiled[SETS];

struct world *world(void);

/** -1 where nothing is in force. */
int world_set_in_force(const struct world *w);

/** Of the index; 0 where nothing is in force. */
uint32_t world_id_in_force(const struct world *w);

/** Maps that nobody holds any more are gone. */
void world_let_go(void);

/** The destination that the packet asked for; -1: none. */
extern int64_t world_destination;
