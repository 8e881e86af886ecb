/* SPDX-License-Identifier: BSD-3-Clause */
/* Processes that run under the preload library, and which label it would put a socket of theirs
 * under.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include <isomer/abi.h>

#include "state/rules.h"

struct guest {
	bool known; /* its variables are: else it has the library, and that is all */
	char label[ISOMER_LABEL_MAX + 1]; /* "": none */
	struct isomer_rules rules;
};

/**
 * Looks whether @pid has the library or its variables. Variables of a process that writes over its
 * environment, as many do to show a title, are not known.
 *
 * Returns 1 if so, 0 if not, or a negative errno where the caller may not look. @ret is big: static
 * memory or the heap.
 */
int guest_look(pid_t pid, struct guest *ret);

/** The label for a socket; NULL: none. @ret_by_rule (may be NULL): a rule says so. "" when it is
 * not known. */
const char *guest_label(const struct guest *g, const struct isomer_socket *s, bool *ret_by_rule);
