/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of registered UDP sockets that this library has set: the program sees those that it has
 * set itself.
 */
#pragma once

#include "preload/udp_marks.h"

int udp_option_get(const struct udp_mark *mark, int fd, int level, int option, void *value,
		   socklen_t *len);
int udp_option_set(const struct udp_mark *mark, int fd, int level, int option, const void *value,
		   socklen_t len);
