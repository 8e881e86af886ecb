/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose packets the kernel takes for this host's own: the addresses of its interfaces, and what
 * routes of the type local add to them (AnyIP). Of the network namespace of the caller.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "state/parse.h"

struct local_routes {
	struct isomer_prefix *entries;
	size_t n;
};

#define LOCAL_ROUTES_NONE                                                                          \
	(struct local_routes)                                                                      \
	{                                                                                          \
		.entries = NULL                                                                    \
	}

int local_routes_read(struct local_routes *ret);

/** Is any address of @prefix this host's? */
bool local_routes_meet(const struct local_routes *routes, const struct isomer_prefix *prefix);

void local_routes_done(struct local_routes *routes);
