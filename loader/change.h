/* SPDX-License-Identifier: BSD-3-Clause */
/* What every changing command works in: the dispatcher opened for writing, what killed writers
 * left mended, and what is in force read into memory.
 */
#pragma once

#include <stdbool.h>

#include "loader/bindings.h"
#include "loader/destinations.h"
#include "loader/dispatcher.h"

struct change {
	struct dispatcher d;
	struct bindings bindings;
	struct destinations destinations;
	bool refused; /* @bindings could not be put in force: those before still are */
};

#define CHANGE_NONE                                                                                \
	(struct change)                                                                            \
	{                                                                                          \
		.d = DISPATCHER_NONE                                                               \
	}

/** Begins a change; other writers wait until change_end(). Errors as dispatcher_open(). */
int change_begin(const char *bpffs, const struct netns *ns, struct change *ret, pid_t *ret_holder);

/** Puts the bindings of the change in force, in one step, and drops labels that nothing needs any
 * more. On failure the former bindings stay in force. */
int change_commit(struct change *c);

/** Drops labels that nothing needs any more, by the bindings in force: of change_commit(), alone,
 * or after it has failed. */
int change_collect(struct change *c);

void change_end(struct change *c);
