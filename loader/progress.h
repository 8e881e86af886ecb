/* SPDX-License-Identifier: BSD-3-Clause */
/* How far an operation is that takes longer than a second: a line on stderr that changes, and is
 * gone when the operation has ended. Only on a terminal, and no diagnostics: those are log.h's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Is there a terminal to show something on? */
bool progress_is_shown(void);

/** What is being done, and how many bytes of it are; cheap, to be called again and again. */
void progress_bytes(const char *doing, uint64_t done);

/** The same in numbers, where it is known how many there are. */
void progress_count(const char *doing, size_t done, size_t total);

/** What is waited for, at once: nobody would call again. */
void progress_wait(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Takes the line away. Does nothing where there is none. */
void progress_clear(void);
