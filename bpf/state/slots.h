/* SPDX-License-Identifier: BSD-3-Clause */
/* The slots of a destination: a SOCKMAP of ISOMER_SLOTS entries, pinned by label.
 *
 * Owner and mode of the pin decide who may register. The kernel empties a slot when the last
 * descriptor of its socket is closed, so registering has nothing to undo.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "state/label.h"
#include "state/socket.h"
#include "state/state.h"

/* "labels/", the file name of a label, "/ipv4-tcp", and the terminating NUL. */
#define ISOMER_SLOTS_NAME_SIZE (ISOMER_LABEL_NAME_SIZE + 20)

/** Writes "labels/<label's file name>/<domain>-<protocol>". Returns 0, or what
 * isomer_label_check() says of @label. */
int isomer_slots_name(const char *label, uint8_t domain, uint8_t protocol,
		      char ret_name[ISOMER_SLOTS_NAME_SIZE]);

/**
 * Opens the slots of (@label, @domain, @protocol) for registering.
 *
 * Returns 0; -ENOENT when the dispatcher does not know the label; -EACCES when the caller has no
 * grant for it; -EPERM when the kernel keeps bpf() from the caller; or another negative errno.
 */
int isomer_slots_open(const struct isomer_state *st, const char *label, uint8_t domain,
		      uint8_t protocol, int *ret_fd);

/* How often to put a socket into slots that isomer_slots_check() then finds replaced. */
#define ISOMER_SLOTS_ATTEMPTS 3

/**
 * Are the slots @slots_fd still those of the label? `revoke`, and a label that goes and comes
 * back, put other ones in their place; a socket that was put into the former gets no traffic.
 * Returns 0, -ESTALE, or what isomer_slots_open() says.
 */
int isomer_slots_check(const struct isomer_state *st, const char *label, uint8_t domain,
		       uint8_t protocol, int slots_fd);

/** Cookies of the sockets in the slots, 0 where there is none. */
int isomer_slots_read(int slots_fd, uint64_t ret_cookies[ISOMER_SLOTS]);

enum isomer_slots_place {
	ISOMER_PLACE_CURRENT,   /* becomes current, and takes a standby of its own */
	ISOMER_PLACE_STANDBY,   /* takes a standby only; current too when nobody is */
	ISOMER_PLACE_TAKE_OVER, /* becomes current, also out of a standby that it has */
};

/**
 * Puts the socket @fd, whose SO_COOKIE is @cookie, into the slots.
 *
 * A socket that sits in a slot already stays as it is, unless it is to take over. Otherwise it
 * claims a standby (the slot above the highest used one, or the lowest free; none when all are
 * taken), then slot 0. In this order and without a lock, so that two servers may register at once
 * and none is lost.
 *
 * Returns 0 (@ret_slot, may be NULL: the standby that it got, 0 if none was free, or -1 when it
 * sat there already), -ENOSPC when only a standby was wanted and none is free, or a negative errno
 * of the kernel: -EOPNOTSUPP for a socket in a state that cannot be registered, -EPERM for a map
 * that is frozen.
 */
int isomer_slots_put(int slots_fd, int fd, uint64_t cookie, enum isomer_slots_place place,
		     int *ret_slot);
