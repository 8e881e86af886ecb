/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stddef.h>

#include "preload/config.h"

#define INHERITED_MAX 1024 /* sockets of one variable; more are no such variable */

/** Registers the sockets that the process got from the one that started it: by systemd's protocol
 * (LISTEN_PID, LISTEN_FDS) or by nginx's (NGINX). Nobody calls bind() or listen() on them. */
void inherited_register(const struct config *config);

/** Reads the value of nginx's variable: numbers, each with ';' or ':' behind it. Returns how many
 * there are, 0 if anything else is in it. */
size_t inherited_parse_nginx(const char *value, int ret_fds[INHERITED_MAX]);
