/* SPDX-License-Identifier: BSD-3-Clause */
/* Programs one of whose allocations fails, by guests/no_memory.c. */
#pragma once

#include <limits.h>
#include <stdbool.h>

/* What goes into struct process_options. */
struct no_memory {
	const char *env[5]; /* "NAME=value", up to a NULL */
	int note;           /* for .pass_fd */
	char at[32], preload[2 * PATH_MAX];
};

/** For the @n-th allocation, from 1, of one program. */
void no_memory_at(unsigned int n, struct no_memory *ret);

/** Has it come to that? Not so, the program has made fewer. */
bool no_memory_came(const struct no_memory *m);

void no_memory_done(struct no_memory *m);
