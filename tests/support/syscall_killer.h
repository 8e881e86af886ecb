/* SPDX-License-Identifier: BSD-3-Clause */
/* Programs that are held, or killed, between two of their system calls, or one of whose calls
 * fails. Each function fails the
 * test when it cannot do its job. What is still traced dies with the test program.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "support/process.h"

/** Which system calls count. */
enum syscall_set {
	SYSCALLS_CHANGING, /* those that change BPF objects or files, lock, or end the process */
	SYSCALLS_ALL,      /* all, from the first of these or the first bpf(2): before it there is
			      nothing to be left half done, or half seen */
	SYSCALLS_MARKED,   /* between the first getppid(2) and the second, but for listen(2) and
			      bind(2) */
};

struct traced;

/** Starts the program; it has done nothing yet. @argv as in struct process_options. */
struct traced *traced_start(const char *const *argv, enum syscall_set set);

/** Lets it run up to its @n-th counted call (from 1), which is not made yet. Returns false when it
 * ended before. */
bool traced_run_to(struct traced *t, unsigned int n);

/** How many counted calls it has come to. */
unsigned int traced_count(const struct traced *t);

pid_t traced_pid(const struct traced *t);

/** The call that it stands before, such as "bpf(24)"; valid until it runs on. */
const char *traced_call(const struct traced *t);

/** Makes the call that it stands before fail with @error, if it is one that can fail; it stands
 * behind it then. */
void traced_fail(struct traced *t, int error);

/** Kills it where it stands, waits for its end, frees. */
void traced_kill(struct traced *t);

/** Lets go of it as stopped by SIGSTOP: until traced_finish(), which sends SIGCONT. The call that
 * it stands before is made first. */
void traced_suspend(struct traced *t);

/** Lets it run to its end; frees. */
struct command_result traced_finish(struct traced *t);
