/* SPDX-License-Identifier: BSD-3-Clause */
/* Connected sockets: the kernel finds them before it asks any dispatcher. */
#pragma once

#include <stdbool.h>

#include "loader/kernel_verdict.h"
#include "state/parse.h"

/** Is there a connected socket of this namespace between the target and the remote address and
 * port? Returns 1 or 0, or -errno. */
int connections_find(const struct target *target, const struct isomer_prefix *remote,
		     uint16_t remote_port);
