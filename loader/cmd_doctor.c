/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>

#include "loader/caps.h"
#include "loader/command.h"
#include "loader/examine.h"
#include "loader/log.h"

static int print_json(const struct findings *f)
{
	struct json *j = json_new();

	if (!j)
		return log_failure(-ENOMEM, "cannot print the findings: %m");
	json_boolean(j, "works", !findings_bad(f));
	findings_json(f, j);
	return command_finish_json(j);
}

static int run(const struct context *ctx, char **args, int n, const char *const *values)
{
	CLEANUP(findings_done) struct findings f = FINDINGS_NONE;
	int status;

	(void)args;
	(void)n;
	(void)values;

	examine_kernel(ctx, &f);
	examine_state(ctx, &f);
	examine_routes(ctx, &f);
	examine_servers(&f);
	if (f.incomplete)
		return log_failure(-ENOMEM, "cannot look at all: %m");
	if (ctx->json) {
		status = print_json(&f);
	} else {
		findings_print(&f);
		status = command_finish();
	}
	return status ? status : findings_bad(&f) ? EXIT_FAILURE : EXIT_SUCCESS;
}

const struct command cmd_doctor = {
	.name = "doctor",
	.operands = "",
	.summary = "tell what this machine lacks, what that costs and how to mend it",
	.help = "Tries what isomer needs: the kernel's features, capabilities, the BPF filesystem,\n"
		"what lies there, other programs that select sockets, whether what is bound is this\n"
		"host's, the preload library, and who may keep servers from it. Changes nothing. A\n"
		"line that begins with 'bad' names what keeps a dispatcher from being loaded, or\n"
		"traffic from being bound: the exit status is 1 then. 'note' is what works less well,\n"
		"or not for all.\n",
	.json = true,
	.caps = CAPS_CHANGE | CAPS(CAP_SYS_ADMIN),
	.run = run,
};
