/* SPDX-License-Identifier: BSD-3-Clause */
/* Servers under the preload library that are not registered, though traffic is bound to their
 * label: started before `load`, or while it was unloaded, or without a grant.
 */
#pragma once

#include "loader/overview.h"
#include "loader/process_sockets.h"

struct stray {
	char label[ISOMER_LABEL_MAX + 1]; /* "" when it is not known */
	struct socket_owner owner;
};

struct strays {
	struct stray *entries;
	size_t n;
};

#define STRAYS_NONE                                                                                \
	(struct strays)                                                                            \
	{                                                                                          \
		.entries = NULL                                                                    \
	}

/**
 * Finds them among the processes of the namespace that the caller may look into. @label: of that
 * label alone, which @o is of then, or NULL. A process that has a socket in the slots of a label is
 * not looked at any further: what else it has was left out by the library's own rules.
 *
 * Returns 0 or -errno.
 */
int strays_find(const struct netns *ns, const struct overview *o, const char *label,
		struct strays *ret);
void strays_done(struct strays *s);

/** Prints "Not registered:" and, for each, the command that registers it; nothing for none.
 * @options: global ones that the command needs to find the same state, "" for none. */
void strays_print(const struct strays *s, const char *options);

/** Writes the member "unregistered". */
void strays_json(const struct strays *s, struct json *j);
