/* SPDX-License-Identifier: BSD-3-Clause */
/* The JSON file of bindings, read as a stream:
 *
 *   {"bindings": [{"label": "foo", "prefix": "127.0.0.0/8", "port": 80}, …]}
 *
 * "port" is a number, or a string with a number or a range ("80-90"); 0 means all ports.
 * "protocol" ("tcp" or "udp") may be left out, which means both. "miss" ("drop" or "pass") may
 * be left out, which means drop. Nothing else is taken, and nothing may be missing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "loader/bindings.h"

struct bindings_file {
	/* Sorted, without duplicates. "destination" is an index into @labels. */
	struct bindings bindings;
	const char **labels;
	size_t n_labels;
	/* Entries whose prefix had bits set behind its length, which were cleared. */
	size_t masked;
};

#define BINDINGS_FILE_NONE                                                                         \
	(struct bindings_file)                                                                     \
	{                                                                                          \
		.labels = NULL                                                                     \
	}

#define BINDINGS_FILE_ERROR_SIZE 512

/**
 * Reads the file behind @fd to its end. Returns 0; -EINVAL for what is not such a file, and says
 * in @ret_error, with line or entry, what and why; or another negative errno.
 */
int bindings_file_read(int fd, struct bindings_file *ret, char ret_error[BINDINGS_FILE_ERROR_SIZE]);

void bindings_file_done(struct bindings_file *file);
