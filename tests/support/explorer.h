/* SPDX-License-Identifier: BSD-3-Clause */
/* Tries every order in which a few processes can make their calls, on a kernel of the test's
 * making.
 *
 * The processes run the product's own code: the test defines the functions by which that code
 * reaches the kernel. What code does next depends on nothing but what it was answered so far, so a
 * process is stored as its answers, and gets to where it stood by being run from its beginning. A
 * state is the world and the answers of all; one that was met before is not followed again. What a
 * process has when it is left behind (memory, no descriptors) is not released: take it from
 * explorer_alloc().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPLORER_PROCESSES 8

struct exploration {
	const void *world; /* as it is at the beginning: bytes without pointers and gaps */
	size_t world_size;
	unsigned int processes;
	/* The code of a process. What it does to the world, before its first call too, it does
	 * in a call; but behind its last one it may. */
	void (*run)(unsigned int process);
	/* May be NULL: nobody is killed. Returns false when @process cannot be killed now; else
	 * does to the world what that means. */
	bool (*kill)(unsigned int process);
	/* Nobody can go on: all have ended, were killed or wait for ever. */
	void (*end)(void);
};

struct explorer_count {
	uint64_t states, ends;
};

/** Fails the test, with the calls that led there, when a check does. */
struct explorer_count explore(const struct exploration *e);

/* ---- for the functions above, and for the test's kernel ---- */

void *explorer_world(void);

/** Who makes the call. */
unsigned int explorer_process(void);

/** Has @process come to its end? */
bool explorer_has_ended(unsigned int process);

/**
 * A call: the block behind it is run once, changes the world, and fills @answer, which is what the
 * process is told again whenever it is run again. @name is for the report.
 */
#define EXPLORER_CALL(name, answer)                                                                \
	for (bool call_ = explorer_begin(name, &(answer), sizeof(answer)); call_;                  \
	     explorer_answer(&(answer), sizeof(answer)), call_ = false)

bool explorer_begin(const char *name, void *answer, size_t size);
void explorer_answer(const void *answer, size_t size);

/** In a call: it cannot be made as things are; the process waits. */
_Noreturn void explorer_block(void);

/** Zeroed, until the process is run again. */
void *explorer_alloc(size_t size);

/** A promise is broken unless @condition. */
#define explorer_check(condition) explorer_check_that(condition, #condition)
void explorer_check_that(bool condition, const char *text);
