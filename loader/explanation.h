/* SPDX-License-Identifier: BSD-3-Clause */
/* Why traffic to a target goes where it goes: worked out from the bindings, beside what the kernel
 * says.
 */
#pragma once

#include "loader/kernel_verdict.h"
#include "loader/process_sockets.h"
#include "loader/snapshot.h"

struct explanation {
	struct snapshot snapshot; /* only the bindings that cover the target; the first wins */
	const struct destination *destination; /* of the winner, NULL without one */
	uint64_t slots[ISOMER_SLOTS];
	struct socket_owner owners[ISOMER_SLOTS];

	int kernel_error; /* of asking the kernel, 0 if it answered */
	struct kernel_verdict kernel;
};

#define EXPLANATION_NONE                                                                           \
	(struct explanation)                                                                       \
	{                                                                                          \
		.snapshot = SNAPSHOT_NONE                                                          \
	}

/** Opens the dispatcher and reads everything, again while the two sides differ, as something may
 * have changed in between: up to four times. Errors as of snapshot_take(). */
int explanation_make(const char *bpffs, const struct netns *ns, const struct target *target,
		     struct explanation *ret);
void explanation_done(struct explanation *e);

/** Keeps of the snapshot's bindings those that cover the target; the first wins. */
void explanation_find_bindings(struct snapshot *s, const struct target *target);

enum explanation_outcome {
	OUTCOME_ORDINARY, /* no binding: the ordinary lookup */
	OUTCOME_SOCKET,   /* a slot's socket */
	OUTCOME_DROP,     /* no socket that can take it: refused */
	OUTCOME_PASS,     /* no socket that can take it: the ordinary lookup */
};

/** What the bindings and slots make one expect, and the slot that serves (OUTCOME_SOCKET). */
enum explanation_outcome explanation_expect(const struct explanation *e, int *ret_slot);

enum explanation_verdict {
	VERDICT_UNKNOWN, /* the kernel could not be asked */
	VERDICT_AGREES,
	VERDICT_SKIPPED, /* it agrees, but could not use the socket that comes first */
	VERDICT_DIFFERS,
};

enum explanation_verdict explanation_judge(const struct explanation *e);

/** Why the binding @a is preferred to @b, which covers the target too: "its prefix is longer". */
const char *explanation_why(const struct isomer_binding *a, const struct isomer_binding *b);
