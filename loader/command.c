/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "loader/caps.h"
#include "loader/labels.h"
#include "loader/log.h"

int command_say_not_allowed(const struct context *ctx, int r, const char *what)
{
	char missing[CAPS_TEXT_SIZE];

	caps_missing(ctx->caps, missing);
	return log_failure(r, "%s%s%s", what,
			   *missing ? "; what this command may need and does not have: " : "",
			   missing);
}

int command_say_cannot_open(const struct context *ctx, int r, pid_t holder)
{
	const char *ns = ctx->netns.path, *bpffs = ctx->bpffs;
	char text[2 * PATH_MAX + 256];

	switch (r) {
	case -ENOENT:
		return log_failure(
			r,
			"no dispatcher is loaded in %s (state below %s): run 'isomer-loader load'",
			ns, bpffs);
	case -ESTALE:
		return log_failure(
			r,
			"the dispatcher of %s is no longer attached: run 'isomer-loader load', "
			"which removes what is left of it",
			ns);
	case -EMEDIUMTYPE:
		return log_failure(
			r,
			"%s is not a BPF filesystem: is the dispatcher loaded, and in this "
			"mount namespace?",
			bpffs);
	case -EPROTO:
		return log_failure(
			r,
			"the dispatcher of %s was loaded by another version: use that version's "
			"isomer-loader",
			ns);
	case -EPERM:
		snprintf(text, sizeof(text),
			 "the state of %s below %s belongs to somebody else, or the kernel refuses "
			 "bpf() to this user: run as root",
			 ns, bpffs);
		return command_say_not_allowed(ctx, r, text);
	case -EACCES:
		snprintf(text, sizeof(text),
			 "the state of %s below %s may not be opened by user %u: run as root, or "
			 "for reading as a member of the state's group",
			 ns, bpffs, (unsigned)geteuid());
		return command_say_not_allowed(ctx, r, text);
	case -ETIMEDOUT:
		return log_failure(
			r,
			"another isomer-loader (pid %d) is changing the dispatcher of %s: try again",
			(int)holder, ns);
	default:
		return log_failure(r, "cannot open the dispatcher of %s below %s: %m", ns, bpffs);
	}
}

int command_begin_change(const struct context *ctx, struct change *ret)
{
	pid_t holder = 0;
	int r = change_begin(ctx->bpffs, &ctx->netns, ret, &holder);

	if (r < 0)
		command_say_cannot_open(ctx, r, holder);
	return r;
}

int command_take_snapshot(const struct context *ctx, struct dispatcher *ret_d, struct snapshot *ret)
{
	int r = snapshot_take(ctx->bpffs, &ctx->netns, ret_d, ret);

	if (r < 0)
		command_say_cannot_open(ctx, r, 0);
	return r;
}

int command_create_label(struct change *c, const char *label)
{
	int r = labels_create(&c->d, &c->destinations, &label, 1);

	if (r == -ENOSPC)
		log_failure(
			r,
			"no room for label '%s': the dispatcher was loaded for %u destinations, "
			"%d a label; load it with a higher --max-destinations",
			label, c->d.st.info.max_destinations, DESTINATIONS_OF_LABEL);
	else if (r < 0)
		log_failure(r, "cannot make label '%s': %m", label);
	return r;
}

int command_finish(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EXIT_SUCCESS;
	return log_failure(-errno, "cannot write the result to stdout: %m");
}

int command_finish_json(struct json *j)
{
	int r = json_end(j);

	if (r < 0)
		return log_failure(r, "cannot write the result as JSON: %m");
	return command_finish();
}
