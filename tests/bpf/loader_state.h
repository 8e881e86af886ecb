/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the loader's state share. */
#pragma once

#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "support/process.h"
#include "support/state_checker.h"

/* Small, so that looking through the state takes no time. */
#define LOAD "load", "--max-destinations", "64"

#define NOBODY 65534

#define PARTS 4
static const char *const parts[PARTS] = { "ipv4-tcp", "ipv4-udp", "ipv6-tcp", "ipv6-udp" };

static inline void file_in(const char *folder, const char *name, char ret[PATH_MAX])
{
	assert_in_range(snprintf(ret, PATH_MAX, "%s/%s", folder, name), 1, PATH_MAX - 1);
}

/** What lies below a folder with a name in its path: how many, and the last of them. */
struct found {
	const char *name; /* what to look for */
	char path[PATH_MAX];
	unsigned n;
};

static inline void note_if_found(const char *path, void *arg)
{
	struct found *f = arg;

	if (!strstr(path, f->name))
		return;
	f->n++;
	snprintf(f->path, sizeof(f->path), "%s", path);
}

static inline struct found find(const char *folder, const char *name)
{
	struct found f = { .name = name };

	state_walk(folder, note_if_found, &f);
	return f;
}

/** Runs the loader: its exit status, and a text on stderr. */
#define LOADER_SAYS(expected_status, text, ...)                                                    \
	do {                                                                                       \
		struct command_result said = loader(__VA_ARGS__, NULL);                            \
		if (said.status != (expected_status) || !strstr(said.err, (text)))                 \
			fail_msg("status %d, stderr '%s', should be %d, '%s'", said.status,        \
				 said.err, (expected_status), (text));                             \
		command_done(&said);                                                               \
	} while (0)
