/* SPDX-License-Identifier: BSD-3-Clause */
/* Decides which sockets go under which label, and puts them there.
 *
 * By a rule any number of sockets. By ISOMER_LABEL alone one local port for TCP and one for UDP,
 * each with one address for each IP version: another would make it a matter of luck which of them
 * gets the label's traffic. It is left alone with a warning, under ISOMER_ON_ERROR=fail too: it may
 * be the server's port for statistics. In both cases at most PLACE_SOCKETS sockets of one address
 * and port.
 *
 * The register_before_*() act under ISOMER_ON_ERROR=fail alone. All return 0, or the negative errno
 * with which the hooked call has to fail: -ENOENT when there is no dispatcher or no such label,
 * -EACCES for anything else, a mistake in the variables included. What they find wrong is said
 * once. They may be called in any thread and at any time, and leave no descriptor behind.
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "preload/config.h"

/* @ret_listens, @listened: did it listen already? Then it may be others' too, and is not shut down
 * for what goes wrong. */
int register_before_listen(const struct config *config, int fd, bool *ret_listens);
int register_after_listen(const struct config *config, int fd, bool listened);

int register_before_bind(const struct config *config, int fd, const struct sockaddr *addr,
			 socklen_t len);
int register_after_bind(const struct config *config, int fd, const struct sockaddr *addr,
			socklen_t len);

/** A socket for which no call was hooked: it may be anything. Never fails: it is not ours alone. */
void register_found(const struct config *config, int fd);

/** A socket bound to @local for answers of the registered @fd, which this process could not bind
 * there itself (@error, negative errno): by the registrar, where that may help. What does not work
 * is said once. Returns 0 or a negative errno; errno survives. */
int register_reply_socket(const struct config *config, int fd, const struct sockaddr *local,
			  int error, int *ret_fd);
