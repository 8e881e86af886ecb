/* SPDX-License-Identifier: BSD-3-Clause */
/* What a program finds in its environment: what the test has, what its options say, and what a
 * sanitizer needs when the program or what it loads is built with one.
 */
#pragma once

#include <stddef.h>

#include "support/process.h"

struct environment {
	char **entries; /* NULL-terminated; strings of the environment, of the options, or @made */
	size_t n;
	char *made[2];
};

/** Path of the address sanitizer's library, NULL in other builds. It must stand first in LD_PRELOAD
 * of a program that is not built with it but loads something that is. */
const char *environment_sanitizer(void);

/** Fails the test when there is no memory. The options have to outlive it. */
void environment_make(struct environment *env, const struct process_options *o);

void environment_done(struct environment *env);
