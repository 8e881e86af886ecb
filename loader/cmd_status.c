/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/attachment_list.h"
#include "loader/caps.h"
#include "loader/command.h"
#include "loader/log.h"
#include "loader/operand.h"
#include "loader/overview.h"
#include "loader/strays.h"

static bool of_label(const struct snapshot *s, const struct isomer_binding *b, const void *arg)
{
	return !strcmp(snapshot_label(s, b->destination), arg);
}

static int print_json(const struct snapshot *s, const struct overview *o,
		      const struct attachment_list *attachments, const struct strays *strays)
{
	struct json *j = json_new();

	if (!j)
		return log_failure(-ENOMEM, "cannot print the status: %m");
	snapshot_json_bindings(s, j);
	overview_json(o, j);
	attachment_list_json(attachments, j);
	strays_json(strays, j);
	return command_finish_json(j);
}

static int print_text(const struct context *ctx, const struct snapshot *s, const struct overview *o,
		      const struct attachment_list *attachments, const struct strays *strays)
{
	const char *netns = strcmp(ctx->netns.path, NETNS_SELF) ? ctx->netns.path : "";
	const char *bpffs = strcmp(ctx->bpffs, ISOMER_BPFFS_DEFAULT) ? ctx->bpffs : "";
	char options[2 * PATH_MAX + 32];

	snprintf(options, sizeof(options), "%s%s%s%s%s%s", *netns ? "--netns " : "", netns,
		 *netns ? " " : "", *bpffs ? "--bpffs " : "", bpffs, *bpffs ? " " : "");
	snapshot_print_bindings(s);
	overview_print(o);
	attachment_list_print(attachments);
	strays_print(strays, options);
	return command_finish();
}

static int run(const struct context *ctx, char **args, int n, const char *const *values)
{
	CLEANUP(dispatcher_close) struct dispatcher d = DISPATCHER_NONE;
	CLEANUP(snapshot_done) struct snapshot s = SNAPSHOT_NONE;
	CLEANUP(overview_done) struct overview o = OVERVIEW_NONE;
	CLEANUP(attachment_list_done) struct attachment_list attachments = ATTACHMENT_LIST_NONE;
	CLEANUP(strays_done) struct strays strays = STRAYS_NONE;
	const char *label = n > 0 ? args[0] : NULL;
	int r, status;

	(void)values;

	status = label ? operand_label(label) : 0;
	if (status)
		return status;
	if (command_take_snapshot(ctx, &d, &s) < 0)
		return EXIT_FAILURE;
	if (label && !destinations_find(&s.destinations, label, AF_INET, IPPROTO_TCP))
		return log_failure(-ENOENT, "there is no label '%s'", label);
	r = overview_read(&d, &s, label, &o);
	if (r < 0)
		return log_failure(r, "cannot read the destinations of %s: %m", ctx->netns.path);
	/* They are the cgroup's, and no label's. */
	r = label ? 0 : attachment_list_read(&d, &attachments);
	if (r < 0)
		return log_failure(r, "cannot read the attachments of %s: %m", ctx->netns.path);
	r = strays_find(&ctx->netns, &o, label, &strays);
	if (r < 0)
		return log_failure(r, "cannot look for servers that are not registered: %m");

	if (label)
		snapshot_filter(&s, of_label, label);
	return ctx->json ? print_json(&s, &o, &attachments, &strays)
			 : print_text(ctx, &s, &o, &attachments, &strays);
}

const struct command cmd_status = {
	.name = "status",
	.operands = "[LABEL]",
	.summary = "show bindings, destinations, their sockets and counters",
	.help = "The socket of a destination is the one that gets its traffic, by its kernel cookie;\n"
		"'sk:-' says that none is registered. Lookups count packets that matched a binding,\n"
		"misses those for which no registered socket lived, errors those for which a registered\n"
		"socket could not be used or another program had chosen one.\n"
		"\n"
		"Attachments are cgroups whose listeners are registered (see 'attach'): how many were, and\n"
		"how many were left alone, because they are of another network namespace, because their\n"
		"label has another address or port already, or because the kernel does not take them.\n"
		"\n"
		"Servers under the preload library that are not registered, though traffic is bound to\n"
		"their label, are listed with the command that registers them: as far as the user may\n"
		"look into their processes. They were started before 'load', or without a grant.\n",
	.min_args = 0,
	.max_args = 1,
	.json = true,
	.caps = CAPS_READ | CAPS_OWNERS | CAPS(CAP_NET_ADMIN),
	.run = run,
};
