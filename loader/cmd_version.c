/* SPDX-License-Identifier: BSD-3-Clause */
#include <bpf/libbpf.h>
#include <stdio.h>

#include "loader/command.h"

static int run(const struct context *ctx, char **args, int n, const char *const *values)
{
	(void)ctx;
	(void)args;
	(void)n;
	(void)values;

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
	.run = run,
};
