/* SPDX-License-Identifier: BSD-3-Clause */
/* Guests: small programs of tests/integration/guests, started under the library. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <isomer/abi.h>

#include "support/netns.h"
#include "support/process.h"

/** Who nobody is. */
#define GUEST_NOBODY 65534

/** How to start a guest. All of it optional. */
struct guest_options {
	const char *env[8];         /* "NAME=value", up to a NULL */
	uid_t uid;                  /* as in struct process_options */
	int pass_fd;                /* the same */
	const char *netns;          /* the same */
	const char *preload_before; /* another preload library of the guests, by name, */
	const char *preload_after;  /* before or behind ours */
	bool alone;                 /* without the library */
};

/** Starts the guest @name with arguments up to a NULL, and waits until it has printed "ready". */
struct process *guest_start(const struct guest_options *options, const char *name, ...)
	__attribute__((sentinel));

/** Path of a guest. */
const char *guest_path(const char *name);

/** Loads a dispatcher into the test's namespace, with a label "foo" that gets 127.0.0.0/8 and
 * ::1, ports 4321 of TCP and UDP. */
void guest_dispatcher(void);

/** Fails the test unless TCP clients of @ip:@port are greeted with @name. */
void guest_serves(const char *ip, uint16_t port, const char *name);

/** Fails the test unless they are refused. */
void guest_refused(const char *ip, uint16_t port);

/** Sends @text there by UDP. */
void guest_send(const char *ip, uint16_t port, const char *text);

/** Fails the test unless the library has printed one line in all, and @text is in it. */
void guest_said(struct process *p, const char *text);

/** Fails the test unless the library has printed nothing. */
void guest_said_nothing(struct process *p);

/** Sockets in the slots of (label "foo", @domain, @protocol), without doubles. */
unsigned guest_sockets(const struct netns_fixture *ns, uint8_t domain, uint8_t protocol);
