/* SPDX-License-Identifier: BSD-3-Clause */
/* What commands share: how main() finds and calls them, and the ways in to the state with the
 * messages for what may go wrong there.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "loader/change.h"
#include "loader/json.h"
#include "loader/netns.h"
#include "loader/snapshot.h"
#include "state/cleanup.h"

/* What the global options say. */
struct context {
	struct netns netns;
	const char *bpffs;
	bool json;     /* results as one JSON document */
	uint64_t caps; /* that the command may need */
};

struct command_option {
	const char *name; /* without dashes */
	bool has_value;
	char letter; /* another way to write it; 0 if none */
};

struct command {
	const char *name;
	const char *operands; /* as printed in the usage line */
	const char *summary;  /* one line */
	const char *help;     /* operands, options, examples: for --help */
	int min_args, max_args;
	bool json;          /* takes --json */
	bool stays_outside; /* is told the namespace of --netns, but does not enter it */
	bool becomes_other; /* its operands are another program, which is to find all as it was:
			     * options end at the first operand, and no capability is dropped */
	const struct command_option *options; /* up to one without a name; NULL if it has none */
	uint64_t caps; /* CAPS(CAP_…) that it may need; all others are dropped before it runs */
	/* @args: @n operands. @values: of @options in that order, NULL where not given, "" for one
	 * without a value. Returns an exit status. */
	int (*run)(const struct context *ctx, char **args, int n, const char *const *values);
};

extern const struct command cmd_version, cmd_status, cmd_explain, cmd_load, cmd_unload, cmd_upgrade,
	cmd_bindings, cmd_bind, cmd_unbind, cmd_load_bindings, cmd_metrics, cmd_register,
	cmd_register_pid, cmd_attach, cmd_detach, cmd_registrar, cmd_run, cmd_unregister, cmd_grant,
	cmd_revoke, cmd_doctor, cmd_top;

/** Says that the user is not allowed to do it, and which capabilities are missing. Returns
 * EXIT_FAILURE. */
int command_say_not_allowed(const struct context *ctx, int r, const char *what);

/** Says why the dispatcher could not be opened. Returns EXIT_FAILURE. */
int command_say_cannot_open(const struct context *ctx, int r, pid_t holder);

/** change_begin(), with a message on failure. Returns 0 or -errno. */
int command_begin_change(const struct context *ctx, struct change *ret);

/** snapshot_take(), with a message on failure. Returns 0 or -errno. */
int command_take_snapshot(const struct context *ctx, struct dispatcher *ret_d,
			  struct snapshot *ret);

/** Makes the label in the change, with a message on failure. Returns 0 or -errno. */
int command_create_label(struct change *c, const char *label);

/** Ends a document. Returns an exit status, after a message on failure. */
int command_finish_json(struct json *j);

/** Flushes stdout: a result that could not be written is a failure. */
int command_finish(void);
