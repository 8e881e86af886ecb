/* SPDX-License-Identifier: BSD-3-Clause */
/* What a program says is its memory. Where it is none the kernel answers with EFAULT, and a hook
 * that reads it before ends the program.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** NULL and what is found from it: the mistake that there is most, and the one that is seen without
 * a system call. */
static inline bool memory_is_nowhere(const void *p)
{
	return (uintptr_t)p < 4096;
}

/** Is there something in the pages of the first and of the last byte? Asks the kernel, by the
 * socket @fd; @size: from 4 bytes on. errno survives. */
bool memory_is_readable(int fd, const void *start, size_t size);
