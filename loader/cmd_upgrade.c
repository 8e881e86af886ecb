/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "loader/attachments.h"
#include "loader/caps.h"
#include "loader/command.h"
#include "loader/log.h"
#include "loader/operand.h"
#include "loader/upgrade.h"

enum { OPTION_MAX_DESTINATIONS };

static const struct command_option options[] = {
	[OPTION_MAX_DESTINATIONS] = { "max-destinations", true },
	{ 0 },
};

/* In a change of its own: they go on with the maps that are in force now. */
static int renew_attachments(const struct context *ctx)
{
	CLEANUP(change_end) struct change c = CHANGE_NONE;
	int r;

	if (command_begin_change(ctx, &c) < 0)
		return EXIT_FAILURE;
	r = attachments_renew(&c.d);
	return r < 0 ? log_failure(r, "cannot upgrade the attachments of %s: %m", ctx->netns.path)
		     : 0;
}

static int upgrade(const struct context *ctx, uint32_t max, uint32_t *ret_program)
{
	CLEANUP(change_end) struct change c = CHANGE_NONE;
	int r;

	if (command_begin_change(ctx, &c) < 0)
		return EXIT_FAILURE;
	r = upgrade_run(&c.d, max, ret_program);
	if (r == -EINVAL)
		return log_failure(
			r,
			"cannot make room for %u destinations only: there is room for %u "
			"already, and it cannot shrink",
			max, c.d.st.info.max_destinations);
	return r < 0 ? log_failure(r, "cannot upgrade the dispatcher of %s: %m", ctx->netns.path)
		     : 0;
}

static int run(const struct context *ctx, char **args, int n, const char *const *values)
{
	uint64_t max = 0;
	uint32_t program = 0;
	int status;

	(void)args;
	(void)n;

	if (values[OPTION_MAX_DESTINATIONS]) {
		status = operand_number("--max-destinations", values[OPTION_MAX_DESTINATIONS],
					DESTINATIONS_OF_LABEL, ISOMER_DESTINATIONS_MAX, &max);
		if (status)
			return status;
	}
	status = upgrade(ctx, (uint32_t)max, &program);
	if (status == 0)
		status = renew_attachments(ctx);
	if (status)
		return status;

	printf("Upgraded dispatcher to %s, program ID #%u\n", ISOMER_VERSION, program);
	return command_finish();
}

const struct command cmd_upgrade = {
	.name = "upgrade",
	.operands = "",
	.summary = "replace the program of the dispatcher by this version's",
	.help = "Traffic flows on; bindings, grants, registered sockets and counters stay. State that was\n"
		"written by a newer schema is refused before anything is changed. An upgrade that was\n"
		"killed is finished or undone by the next command that changes something.\n"
		"\n"
		"Options:\n"
		"  --max-destinations N  make room for N destinations, 4 for each label\n",
	.options = options,
	.caps = CAPS_CHANGE,
	.run = run,
};
