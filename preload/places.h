/* SPDX-License-Identifier: BSD-3-Clause */
/* Which sockets this process has put into slots: enough to keep it from taking more of them than
 * it needs, and from registering two different ports under one label without having been told to.
 *
 * A place is an address in a destination with up to PLACE_SOCKETS sockets. Nothing says when a
 * socket is closed, and nothing has to: the kernel empties its slots, so a socket that is in no
 * slot any more counts as gone. Static memory and atomics only: no lock that another thread could
 * hold in the moment of a fork(). A child goes on with what its parent knew.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <isomer/abi.h>

#include "state/socket.h"

#define PLACE_SOCKETS 2 /* of one process on one address and port: reuseport workers */
#define PLACE_MAX     64

struct place {
	_Atomic uint64_t address; /* 0: free, else place_address() */
	_Atomic uint64_t sockets[PLACE_SOCKETS];
};

/** What a place held at some moment. */
struct place_view {
	uint64_t address;
	uint64_t sockets[PLACE_SOCKETS];
};

enum place_claim {
	PLACE_FIRST,   /* the only socket of this process on its address */
	PLACE_FURTHER, /* another one */
	PLACE_KEPT,    /* known already */
	PLACE_FULL,    /* there are PLACE_SOCKETS others */
	PLACE_OTHER,   /* a living socket on another address has the place */
	PLACE_CHANGED, /* another thread was faster: look again */
};

/** Stands for (@label, @domain, protocol, address, port) of a socket; never 0. */
uint64_t place_address(const char *label, uint8_t domain, const struct isomer_socket *s);

/** The port in it. */
uint16_t place_port(uint64_t address);

/** The one place of a destination for what ISOMER_LABEL alone registers. */
struct place *place_of_label(uint8_t domain, uint8_t protocol);

/** The place for what a rule registers; NULL when there are too many addresses to remember. */
struct place *place_of_rule(uint64_t address);

/* The slots that the two functions behind it want must be read after this: what is in a place and
 * was put into a slot earlier is then dead if it is not there. */
struct place_view place_look(struct place *place);

/** Has the place a socket that is in one of the slots, or is just being put there? */
bool place_alive(const struct place_view *view, const uint64_t slots[ISOMER_SLOTS]);

/** Asks for @cookie to be one of the sockets on @address. After PLACE_FIRST and PLACE_FURTHER
 * @ret_index must be handed to place_settle(). */
enum place_claim place_claim(struct place *place, const struct place_view *view,
			     const uint64_t slots[ISOMER_SLOTS], uint64_t address, uint64_t cookie,
			     unsigned *ret_index);

/** Ends a claim: the socket is in the slots (@cookie), or is not (0). */
void place_settle(struct place *place, unsigned index, uint64_t cookie);
