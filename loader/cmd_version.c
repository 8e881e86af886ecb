/* SPDX-License-Identifier: BSD-3-Clause */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>

#include "loader/command.h"
#include "loader/log.h"

static int run(const struct context *ctx, char **args, int n, const char *const *values)
{
	struct json *j;

	(void)args;
	(void)n;
	(void)values;

	if (ctx->json) {
		j = json_new();
		if (!j)
			return log_failure(-ENOMEM, "cannot print the version: %m");
		json_text(j, "version", ISOMER_VERSION);
		json_number(j, "schema", ISOMER_SCHEMA);
		json_text(j, "libbpf", libbpf_version_string());
		return command_finish_json(j);
	}
	printf("isomer-loader version: %s (schema %d, libbpf %s)\n", ISOMER_VERSION, ISOMER_SCHEMA,
	       libbpf_version_string());
	return command_finish();
}

const struct command cmd_version = {
	.name = "version",
	.operands = "",
	.summary = "print the version",
	.help = "Prints the version of isomer-loader, the schema of the state that it writes, and the\n"
		"version of libbpf.\n",
	.json = true,
	.run = run,
};
