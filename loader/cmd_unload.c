/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "loader/attachments.h"
#include "loader/caps.h"
#include "loader/command.h"
#include "loader/log.h"
#include "loader/loss.h"

static void say_attachment(const struct isomer_attachment *a, bool dead, void *arg)
{
	(void)arg;
	if (!dead)
		log_notice("the attachment of %s ends, too: after a new 'load' give 'attach' again",
			   a->cgroup);
}

/* Who loses what is worth knowing, but no reason not to unload. */
static void collect_losses(const struct dispatcher *d, struct losses **ret)
{
	CLEANUP(destinations_done) struct destinations set = DESTINATIONS_NONE;

	if (destinations_read(d, &set) < 0 || losses_collect(d, &set, NULL, ret) < 0)
		log_notice("cannot tell which servers lose their registration");
}

static int run(const struct context *ctx, char **args, int n, const char *const *values)
{
	CLEANUP(dispatcher_close) struct dispatcher d = DISPATCHER_NONE;
	CLEANUP(losses_freep) struct losses *losses = NULL;
	pid_t holder;
	int r;

	(void)args;
	(void)n;
	(void)values;

	r = dispatcher_open(ctx->bpffs, &ctx->netns, DISPATCHER_WRITE, &d, &holder);
	if (r == -ENOENT || r == -ESTALE || r == -EMEDIUMTYPE) {
		log_notice("dispatcher is not loaded in %s", ctx->netns.path);
		return EXIT_SUCCESS;
	}
	if (r < 0)
		return command_say_cannot_open(ctx, r, holder);

	collect_losses(&d, &losses);
	(void)attachments_visit(&d, say_attachment, NULL);
	r = dispatcher_unload(&d);
	if (r < 0)
		return log_failure(r, "cannot unload the dispatcher of %s: %m", ctx->netns.path);
	if (losses)
		losses_say(losses);

	printf("unloaded dispatcher from %s\n", ctx->netns.path);
	return command_finish();
}

const struct command cmd_unload = {
	.name = "unload",
	.operands = "",
	.summary = "detach the dispatcher and remove its state",
	.help = "Bindings, grants, counters and registrations go with it; sockets stay open and the\n"
		"ordinary lookup is back at once. Says on stderr which servers lose a registration, and\n"
		"which cgroups their attachment, and how it comes back after a new 'load'. Does nothing when no dispatcher is loaded.\n",
	.caps = CAPS_CHANGE | CAPS_OWNERS,
	.run = run,
};
