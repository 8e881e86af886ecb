/* SPDX-License-Identifier: BSD-3-Clause */
/* attach and detach: registering for programs that no library can be preloaded into. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "loader/attach.h"
#include "loader/attachments.h"
#include "loader/caps.h"
#include "loader/command.h"
#include "loader/log.h"

enum {
	VALUE_LABEL,
	VALUE_RULES,
};

static const struct command_option options[] = {
	[VALUE_LABEL] = { "label", true, 'l' },
	[VALUE_RULES] = { "rules", true, 'r' },
	{ NULL },
};

static int open_cgroup(const char *name, struct cgroup *ret)
{
	int r = cgroup_open(name, ret);

	if (r == -ENODEV)
		return log_failure(r, "no cgroup v2 hierarchy is mounted");
	if (r == -EMEDIUMTYPE || r == -ENOTDIR)
		return log_failure(r, "'%s' is not a cgroup of the v2 hierarchy", name);
	if (r == -ENOENT)
		return log_failure(r, "there is no cgroup '%s'", name);
	return r < 0 ? log_failure(r, "cannot open the cgroup '%s': %m", name) : 0;
}

static int run_attach(const struct context *ctx, char **args, int n, const char *const *values)
{
	CLEANUP(cgroup_done) struct cgroup cg = CGROUP_NONE;
	static struct attach_rules rules;
	unsigned adopted;
	int status;

	(void)n;

	if (!values[VALUE_LABEL] && !values[VALUE_RULES])
		return log_usage(
			"attach needs --label or --rules; see 'isomer-loader attach --help'");
	status = attach_parse(values[VALUE_LABEL], values[VALUE_RULES], &rules);
	if (status == 0)
		status = open_cgroup(args[0], &cg);
	if (status == 0)
		status = attach_cgroup(ctx, &cg, &rules, &adopted);
	if (status)
		return status;

	printf("attached to %s, %u socket%s registered\n", cg.path, adopted,
	       adopted == 1 ? "" : "s");
	return command_finish();
}

static int run_detach(const struct context *ctx, char **args, int n, const char *const *values)
{
	CLEANUP(change_end) struct change c = CHANGE_NONE;
	CLEANUP(cgroup_done) struct cgroup cg = CGROUP_NONE;
	int r, status;

	(void)n;
	(void)values;

	status = open_cgroup(args[0], &cg);
	if (status)
		return status;
	if (command_begin_change(ctx, &c) < 0)
		return EXIT_FAILURE;
	r = attachment_remove(&c.d, cg.id);
	if (r == -ENOENT)
		return log_failure(r, "nothing is attached to '%s'", cg.path);
	if (r == 0)
		r = change_collect(&c);
	if (r < 0)
		return log_failure(r, "cannot detach from '%s': %m", cg.path);

	printf("detached from %s\n", cg.path);
	return command_finish();
}

const struct command cmd_attach = {
	.name = "attach",
	.operands = "CGROUP",
	.summary = "register the TCP listeners of every process in a cgroup",
	.help = "For programs that no library can be preloaded into: static ones, Go, musl, io_uring.\n"
		"CGROUP is a folder of the cgroup v2 filesystem, or its path from the root of the\n"
		"hierarchy. What listens there already is registered at once, UDP sockets included;\n"
		"afterwards every TCP socket made there that begins to listen, also in cgroups below. A UDP\n"
		"socket that is bound later is not: attach again, or use register-pid. Sockets of other\n"
		"network namespaces are left alone. Answers of those UDP sockets leave from the address\n"
		"that the client used, and from the port that the server is bound to.\n"
		"\n"
		"  -l, --label LABEL  of all that no rule decides: the first address and port that come\n"
		"  -r, --rules RULES  LABEL=PROTOCOL:ADDRESS:PORT;... as in ISOMER_RULES\n"
		"\n"
		"Takes the place of what was attached to the same cgroup. Ends with 'detach', 'unload' or\n"
		"the cgroup; what is registered stays.\n"
		"\n"
		"Examples:\n"
		"  isomer-loader attach -l web system.slice/caddy.service\n"
		"  isomer-loader attach -r 'web=tcp:*:80;tls=tcp:*:443' system.slice/traefik.service\n",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.caps = CAPS_CHANGE | CAPS_OWNERS,
	.run = run_attach,
};

const struct command cmd_detach = {
	.name = "detach",
	.operands = "CGROUP",
	.summary = "end what attach began",
	.help = "What is registered stays registered.\n",
	.min_args = 1,
	.max_args = 1,
	.caps = CAPS_CHANGE,
	.run = run_detach,
};
