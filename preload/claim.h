/* SPDX-License-Identifier: BSD-3-Clause */
/* How many slots one process takes, and for which of its sockets: the same by either way. */
#pragma once

#include "preload/way.h"

/** Puts the socket into the slots of each domain that it serves, unless this process has enough
 * there. Returns 0, or -1 with @ret_failure filled. */
int claim_slots(struct way *way, const struct request *r, struct outcome *ret,
		struct failure *ret_failure);
