/* SPDX-License-Identifier: BSD-3-Clause */
/* A registrar, and clients that speak its protocol themselves, also badly. Each function fails the
 * test when it cannot do its job.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <isomer/registrar.h>

#include "support/netns.h"
#include "support/process.h"

/** Starts `isomer-loader registrar` in a /run of the test's own, and waits until it listens. */
struct process *registrar_start(void);

/** The same where servers cannot register without one: before Linux 5.14, which does not tell them
 * of what namespace a socket is. Else NULL. */
struct process *registrar_start_if_needed(void);

/** A dispatcher whose label "foo" gets 127.0.0.0/8, port 4321 of TCP and port 53 of UDP, and ::1.
 */
struct netns_fixture *registrar_dispatcher(void **state);

/** Both. */
struct netns_fixture *registrar_with_dispatcher(void **state);

/** A request that is as it should be, for the label "foo". */
struct isomer_registrar_request registrar_request(enum isomer_registrar_type type, uint8_t domain,
						  uint8_t protocol);

/** A connection to the registrar, or -errno. */
int registrar_connect(void);

/** Sends @size bytes and @n descriptors. Returns 0 or -errno. */
int registrar_send_raw(int connection, const void *bytes, size_t size, const int *fds, size_t n);

/** The registrar's answer, for which it waits up to 30 s. Returns 0, -ENODATA when it closes
 * without one, or another negative errno. @ret_fd (may be NULL): what came with it, -1 for nothing.
 */
int registrar_receive_raw(int connection, struct isomer_registrar_reply *ret, int *ret_fd);

/** The whole of it, with the socket @fd. @ret_fd as above. */
struct isomer_registrar_reply registrar_ask(const struct isomer_registrar_request *q, int fd,
					    int *ret_fd);

/** Asks for @fd to be registered under "foo". */
struct isomer_registrar_reply registrar_register(uint8_t domain, uint8_t protocol, int fd);

/** Fails the test unless it ended with @error (negative, or 0) at @stage. */
void registrar_failed(const struct isomer_registrar_reply *reply, int stage, int error);

/** Fails the test unless it did what was asked. */
void registrar_done(const struct isomer_registrar_reply *reply);

/** Who a client is. */
struct identity {
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* supplementary ones */
	size_t n_groups;
	bool user_namespace; /* as root of a user namespace of his own */
};

#define NOBODY 65534
extern const struct identity identity_nobody;

/** Runs @act as somebody else, without any capability here, in a process of its own, which has what
 * @arg points to in common with the test if that is shared memory. */
void identity_run(const struct identity *who, void (*act)(void *arg), void *arg);

/** Memory that is shared with processes of identity_run(), zeroed. Freed by the end of the test
 * program. */
void *identity_memory(size_t size);

/** As registrar_ask(), as somebody else. */
struct isomer_registrar_reply identity_ask(const struct identity *who,
					   const struct isomer_registrar_request *q, int fd);
