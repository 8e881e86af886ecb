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

#include "support/process.h"

/** Starts `isomer-loader registrar` in a /run of the test's own, and waits until it listens. */
struct process *registrar_start(void);

/** A request that is as it should be, for the label "foo". */
struct isomer_registrar_request registrar_request(enum isomer_registrar_type type, uint8_t domain,
						  uint8_t protocol);

/** A connection to the registrar, or -errno. */
int registrar_connect(void);

/** Sends @size bytes and @n descriptors. Returns 0 or -errno. */
int registrar_send_raw(int connection, const void *bytes, size_t size, const int *fds, size_t n);

/** The registrar's answer, for which it waits up to 5 s. Returns 0, -ENODATA when it closes without
 * one, or another negative errno. @ret_fd (may be NULL): what came with it, -1 for nothing. */
int registrar_receive_raw(int connection, struct isomer_registrar_reply *ret, int *ret_fd);

/** The whole of it, with the socket @fd. @ret_fd as above. */
struct isomer_registrar_reply registrar_ask(const struct isomer_registrar_request *q, int fd,
					    int *ret_fd);

/** Who a client is. */
struct identity {
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* supplementary ones */
	size_t n_groups;
	bool user_namespace; /* as root of a user namespace of his own */
};

/** Runs @act as somebody else, without any capability here, in a process of its own, which has what
 * @arg points to in common with the test if that is shared memory. */
void identity_run(const struct identity *who, void (*act)(void *arg), void *arg);

/** Memory that is shared with processes of identity_run(), zeroed. Freed by the end of the test
 * program. */
void *identity_memory(size_t size);

/** As registrar_ask(), as somebody else. */
struct isomer_registrar_reply identity_ask(const struct identity *who,
					   const struct isomer_registrar_request *q, int fd);
