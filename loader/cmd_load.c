/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/bpffs.h"
#include "loader/caps.h"
#include "loader/command.h"
#include "loader/leftover.h"
#include "loader/log.h"
#include "loader/operand.h"

enum { OPTION_MAX_DESTINATIONS, OPTION_GROUP };

static const struct command_option options[] = {
	[OPTION_MAX_DESTINATIONS] = { "max-destinations", true },
	[OPTION_GROUP] = { "group", true },
	{ 0 },
};

static int parse(const char *const *values, struct dispatcher_options *ret)
{
	uint64_t number = ISOMER_DESTINATIONS_DEFAULT;
	const struct group *group;
	int status = 0;

	if (values[OPTION_MAX_DESTINATIONS])
		status = operand_number("--max-destinations", values[OPTION_MAX_DESTINATIONS],
					DESTINATIONS_OF_LABEL, ISOMER_DESTINATIONS_MAX, &number);
	ret->max_destinations = (uint32_t)number;

	ret->group = getegid();
	if (status == 0 && values[OPTION_GROUP])
		return operand_group(values[OPTION_GROUP], &ret->group);
	group = getgrnam("isomer");
	if (status == 0 && group)
		ret->group = group->gr_gid;
	return status;
}

static int prepare_bpffs(const struct context *ctx)
{
	bool mounted;
	int r = bpffs_ensure(ctx->bpffs, &mounted);

	if (r == -EXDEV)
		return log_failure(
			r,
			"no BPF filesystem is mounted at %s in this mount namespace, and "
			"one mounted here would end with it (as under 'ip netns exec'): run "
			"'isomer-loader --netns /run/netns/NAME load' outside, or mount one",
			ctx->bpffs);
	if (r == -EMEDIUMTYPE)
		return log_failure(
			r,
			"%s is not a BPF filesystem: mount one there with 'mount -t bpf -o "
			"mode=0711 bpf %s'",
			ctx->bpffs, ctx->bpffs);
	if (r < 0)
		return log_failure(r, "cannot use %s as BPF filesystem: %m", ctx->bpffs);

	if (mounted)
		log_notice("mounted a BPF filesystem at %s", ctx->bpffs);
	else if (!bpffs_searchable(ctx->bpffs))
		log_notice("only its owner may search %s, so servers of other users will not find "
			   "their labels: 'chmod o+x %s' lets them",
			   ctx->bpffs, ctx->bpffs);
	return 0;
}

/* Returns 0, EXIT_FAILURE with a message, or -EALREADY when a dispatcher is loaded. */
static int clear_place(const struct context *ctx)
{
	char path[PATH_MAX], aside[PATH_MAX];
	enum leftover leftover;
	int r;

	r = isomer_state_path(ctx->bpffs, ctx->netns.inode, path);
	if (r == 0) {
		leftover_sweep(ctx->bpffs, path);
		r = leftover_clear(ctx->bpffs, &ctx->netns, path, &leftover, aside);
	}
	if (r == -EALREADY)
		return r;
	if (r == -EPROTO)
		return log_failure(
			r,
			"a dispatcher of another version is loaded in %s: unload it with "
			"that version's isomer-loader first",
			ctx->netns.path);
	if (r < 0)
		return log_failure(r, "cannot look for an earlier dispatcher below %s: %m",
				   ctx->bpffs);

	if (leftover == LEFTOVER_REMOVED_DEAD)
		log_notice("removed %s: it was the state of a namespace that is gone, or half "
			   "unloaded",
			   path);
	else if (leftover == LEFTOVER_MOVED_FOREIGN)
		log_notice("moved %s aside to %s: it belongs to somebody else or others may write "
			   "it",
			   path, aside);
	return 0;
}

static int run(const struct context *ctx, char **args, int n, const char *const *values)
{
	struct dispatcher_options wanted;
	int r, status;

	(void)args;
	(void)n;

	status = parse(values, &wanted);
	if (status == 0)
		status = prepare_bpffs(ctx);
	if (status)
		return status;

	r = clear_place(ctx);
	if (r > 0)
		return r;
	if (r == 0)
		r = dispatcher_load(ctx->bpffs, &ctx->netns, &wanted);
	if (r == -EALREADY) {
		log_notice("dispatcher is already loaded in %s", ctx->netns.path);
		return EXIT_SUCCESS;
	}
	if (r == -EPERM || r == -EACCES)
		return command_say_not_allowed(ctx, r,
					       "not allowed to load the dispatcher: run as root");
	if (r < 0)
		return log_failure(r, "cannot load the dispatcher into %s: %m", ctx->netns.path);

	printf("loaded dispatcher into %s\n", ctx->netns.path);
	return command_finish();
}

const struct command cmd_load = {
	.name = "load",
	.operands = "",
	.summary = "load the dispatcher into the network namespace",
	.help = "Loads the BPF program, attaches it to the network namespace and pins its state below\n"
		"the BPF filesystem, which is mounted when it is not. Traffic is not touched before\n"
		"the first 'bind'. Does nothing when a dispatcher is loaded.\n"
		"\n"
		"Options:\n"
		"  --max-destinations N  room for N destinations, 4 for each label (default 8192)\n"
		"  --group GROUP         who may read bindings and counters (default isomer, if there\n"
		"                        is such a group)\n",
	.options = options,
	.caps = CAPS_CHANGE | CAPS(CAP_SYS_ADMIN) | CAPS(CAP_FOWNER),
	.run = run,
};
