/* SPDX-License-Identifier: BSD-3-Clause */
/* Attaching to a cgroup: what `attach` and `run` have in common. */
#pragma once

#include "loader/cgroup.h"
#include "loader/command.h"
#include "state/rules.h"

/* What goes where: --label and --rules. */
struct attach_rules {
	const char *label; /* NULL: rules alone decide */
	bool has_rules;
	struct isomer_rules rules;
};

/** Reads the options; both may be NULL. @ret is big: not for a stack. Returns 0, or EXIT_USAGE
 * after a message. */
int attach_parse(const char *label, const char *rules, struct attach_rules *ret);

/**
 * Attaches to the cgroup, in the place of what was attached there, makes the labels that are
 * missing, and registers the sockets that processes there have already.
 *
 * Returns an exit status, after a message on failure. @ret_adopted: how many sockets were there.
 */
int attach_cgroup(const struct context *ctx, const struct cgroup *cg,
		  const struct attach_rules *rules, unsigned *ret_adopted);
