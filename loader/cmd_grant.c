/* SPDX-License-Identifier: BSD-3-Clause */
/* grant and revoke: who may register under a label. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/caps.h"
#include "loader/command.h"
#include "loader/grants.h"
#include "loader/log.h"
#include "loader/loss.h"
#include "loader/operand.h"
#include "loader/users.h"

#define GRANTEE_TEXT_SIZE (2 * USER_TEXT_SIZE)

static void grantee_text(const struct label_grant *grant, char ret[GRANTEE_TEXT_SIZE])
{
	char user[USER_TEXT_SIZE], group[USER_TEXT_SIZE] = "";

	user_text(grant->uid, user);
	if (grant->has_group)
		group_text(grant->gid, group);
	snprintf(ret, GRANTEE_TEXT_SIZE, "%s%s%s", user, grant->has_group ? ":" : "", group);
}

/* May whoever holds @old write under @fresh too? Otherwise descriptors that are open already
 * must lead nowhere. */
static bool keeps_rights(const struct label_grant *old, const struct label_grant *fresh)
{
	return !old->granted || (old->uid == fresh->uid &&
				 (!old->has_group || (fresh->has_group && old->gid == fresh->gid)));
}

/* Sets the grant, and names the servers that have to register again for it. */
static int set_grant(const struct change *c, const char *label, const struct label_grant *grant,
		     bool renew)
{
	CLEANUP(losses_freep) struct losses *losses = NULL;
	int r = 0;

	if (renew)
		r = losses_collect(&c->d, &c->destinations, label, &losses);
	if (r == 0)
		r = label_set_grant(&c->d, &c->destinations, label, grant, renew);
	if (r == 0 && losses)
		losses_say(losses);
	return r;
}

static int run_grant(const struct context *ctx, char **args, int n, const char *const *values)
{
	CLEANUP(change_end) struct change c = CHANGE_NONE;
	char text[GRANTEE_TEXT_SIZE], old_text[GRANTEE_TEXT_SIZE];
	struct label_grant fresh, old;
	int r, status;

	(void)n;
	(void)values;

	status = operand_label(args[0]);
	if (status == 0)
		status = operand_grantee(args[1], &fresh);
	if (status)
		return status;
	if (fresh.uid == 0 && !fresh.has_group)
		return log_usage("user '%s' needs no grant", args[1]);
	grantee_text(&fresh, text);

	if (command_begin_change(ctx, &c) < 0 || command_create_label(&c, args[0]) < 0)
		return EXIT_FAILURE;
	r = label_read_grant(&c.d, args[0], &old);
	if (r == 0)
		r = set_grant(&c, args[0], &fresh, !keeps_rights(&old, &fresh));
	if (r < 0)
		return log_failure(r, "cannot grant label '%s' to %s: %m", args[0], text);

	if (old.granted) {
		grantee_text(&old, old_text);
		if (strcmp(old_text, text))
			log_notice("this replaces the grant of label '%s' to %s", args[0],
				   old_text);
	}
	printf("granted %s to %s\n", args[0], text);
	return command_finish();
}

static int run_revoke(const struct context *ctx, char **args, int n, const char *const *values)
{
	CLEANUP(change_end) struct change c = CHANGE_NONE;
	char text[GRANTEE_TEXT_SIZE];
	struct label_grant grant;
	int r, status;

	(void)n;
	(void)values;

	status = operand_label(args[0]);
	if (status)
		return status;

	if (command_begin_change(ctx, &c) < 0)
		return EXIT_FAILURE;
	r = label_read_grant(&c.d, args[0], &grant);
	if (r == -ENOENT)
		return log_failure(r, "there is no label '%s'", args[0]);
	if (r == 0 && !grant.granted)
		return log_failure(-ENOENT, "label '%s' is granted to nobody", args[0]);
	if (r == 0)
		r = set_grant(&c, args[0], NULL, true);
	if (r == 0)
		r = change_collect(&c);
	if (r < 0)
		return log_failure(r, "cannot revoke the grant of label '%s': %m", args[0]);

	grantee_text(&grant, text);
	printf("revoked %s from %s\n", args[0], text);
	return command_finish();
}

const struct command cmd_grant = {
	.name = "grant",
	.operands = "LABEL USER[:GROUP]",
	.summary = "let a user, and a group, register sockets under LABEL",
	.help = "Servers of that user, started under the preload library, may then register without any\n"
		"capability. USER and GROUP are names or numbers; root:GROUP grants to the group alone.\n"
		"A label has one grant: a new one replaces the former. When that takes a right away,\n"
		"the label's sockets have to register again, and the command names them.\n",
	.min_args = 2,
	.max_args = 2,
	.caps = CAPS_CHANGE | CAPS_OWNERS,
	.run = run_grant,
};

const struct command cmd_revoke = {
	.name = "revoke",
	.operands = "LABEL",
	.summary = "take the grant of LABEL back",
	.help = "The label gets new slots, so that what its users have open leads nowhere. Its sockets\n"
		"have to register again; the command names them.\n",
	.min_args = 1,
	.max_args = 1,
	.caps = CAPS_CHANGE | CAPS_OWNERS,
	.run = run_revoke,
};
