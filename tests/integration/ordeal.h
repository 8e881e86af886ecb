/* SPDX-License-Identifier: BSD-3-Clause */
/* Every command that changes something, put through the same at each of its system calls in turn:
 * it is killed there, or the call fails. What was in force must be in force, or what was wanted.
 *
 * The calls of a command are shared out among a few processes, each with namespaces of its own, as
 * most of the time goes into waiting for the kernel.
 */
#pragma once

#include "integration/world.h"
#include "support/syscall_killer.h"

struct scenario {
	const char *name;
	const char *command;      /* that is put through it */
	const char *const *setup; /* what makes the old state */
	const char *const *undo;  /* what makes it again from the new one */
	const char *next;         /* command that mends; by default some other binding is made */
	const char *again;        /* may be the answer to the command when it is given again */
	const char *remark;       /* for the report */
	enum syscall_set set;     /* calls that the ordeal is tried at by default */
};

extern const struct scenario scenarios[];
extern const size_t n_scenarios;

struct baseline {
	char old[TEXT_SIZE], fresh[TEXT_SIZE]; /* as observed */
	char fresh_whole[TEXT_SIZE];           /* as described */
};

struct ordeal {
	const char *points;  /* "kill points" */
	unsigned int stride; /* tried at every so manieth of them, by default */
	/* Does it at call @k, from 1; the state must be the old one again then. Returns false when
	 * the command came to its end before. */
	bool (*at)(const struct world *w, const struct scenario *s, const struct baseline *b,
		   unsigned int k);
};

/** Runs all scenarios, and prints how many points they have. For main(). */
int ordeal_main(const struct ordeal *ordeal);

/* ---- for the ordeals ---- */

/** Between two calls that change nothing there is nothing new, which one command shows; with
 * ISOMER_TEST_EVERY_CALL=1 ordeals are tried at all of them. */
enum syscall_set ordeal_calls(const struct scenario *s);

/** For who has to find out why: printed when a test fails. */
extern char ordeal_where[256];

void check_either(const char *seen, const char *old, const char *fresh);
void check_same(const char *seen, const char *wanted);

/** Fails the test unless the next writer finds everything as it should be, or mends it. */
void check_mended(const struct world *w, const struct scenario *s, unsigned int k,
		  const char *seen);

/** Gives the command once more. */
void give_again(const struct scenario *s);
