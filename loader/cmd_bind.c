/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/caps.h"
#include "loader/command.h"
#include "loader/log.h"
#include "loader/operand.h"

enum { OPTION_MISS, OPTION_REPLACE };

static const struct command_option bind_options[] = {
	[OPTION_MISS] = { "miss", true },
	[OPTION_REPLACE] = { "replace", false },
	{ 0 },
};

static int operand_miss(const char *text, uint8_t *ret)
{
	if (!strcmp(text, "drop"))
		*ret = ISOMER_MISS_DROP;
	else if (!strcmp(text, "pass"))
		*ret = ISOMER_MISS_PASS;
	else
		return log_usage("--miss '%s' is neither drop nor pass", text);
	return 0;
}

static const char *label_of(const struct change *c, uint32_t id)
{
	for (size_t i = 0; i < c->destinations.n; i++)
		if (c->destinations.entries[i].id == id)
			return c->destinations.entries[i].key.label;
	return "?";
}

static int commit_failure(const struct change *c, int r, const char *what, const char *text)
{
	if (r == -E2BIG)
		return log_failure(r,
				   "cannot %s %s: there are %zu bindings, and no more are possible",
				   what, text, c->bindings.n);
	return log_failure(r, "cannot %s %s: %m", what, text);
}

/* What stands at @index covers the same traffic. Returns 0 when it may be replaced. */
static int check_replace(const struct change *c, size_t index, const char *text, bool replace)
{
	const struct isomer_binding *old = &c->bindings.entries[index];
	char old_text[BINDING_TEXT_SIZE];

	binding_text(old, label_of(c, old->destination), old_text);
	if (!replace)
		return log_failure(-EEXIST, "cannot bind %s: %s exists; --replace replaces it",
				   text, old_text);
	return 0;
}

static int put_binding(struct change *c, const char *label, struct isomer_binding *binding,
		       bool replace, const char *text)
{
	char old_text[BINDING_TEXT_SIZE] = "";
	ssize_t index = bindings_find(&c->bindings, binding);
	const struct destination *destination;
	int r;

	if (index >= 0) {
		struct isomer_binding *old = &c->bindings.entries[index];
		const char *old_label = label_of(c, old->destination);

		if (!strcmp(old_label, label) && old->miss == binding->miss) {
			log_notice("%s is bound already", text);
			return 0;
		}
		if (strcmp(old_label, label)) {
			int status = check_replace(c, (size_t)index, text, replace);

			if (status)
				return status;
			binding_text(old, old_label, old_text);
		}
	}

	if (command_create_label(c, label) < 0)
		return EXIT_FAILURE;
	destination =
		destinations_find(&c->destinations, label, binding->domain, binding->protocol);
	binding->destination = destination->id;
	r = 0;
	if (index >= 0)
		c->bindings.entries[index] = *binding;
	else
		r = bindings_add(&c->bindings, binding);
	if (r == 0)
		r = change_commit(c);
	if (r < 0)
		return commit_failure(c, r, "bind", text);
	if (old_text[0])
		log_notice("replaced %s", old_text);
	return 0;
}

static int run_bind(const struct context *ctx, char **args, int n, const char *const *values)
{
	CLEANUP(change_end) struct change c = CHANGE_NONE;
	struct isomer_binding binding;
	char text[BINDING_TEXT_SIZE];
	uint8_t miss = ISOMER_MISS_DROP;
	int status = 0;

	(void)n;

	if (values[OPTION_MISS])
		status = operand_miss(values[OPTION_MISS], &miss);
	if (status == 0)
		status = operand_binding(args, &binding);
	if (status)
		return status;
	binding.miss = miss;
	binding_text(&binding, args[0], text);

	if (command_begin_change(ctx, &c) < 0)
		return EXIT_FAILURE;
	status = put_binding(&c, args[0], &binding, values[OPTION_REPLACE] != NULL, text);
	if (status) {
		(void)change_collect(&c);
		return status;
	}

	printf("bound %s\n", text);
	return command_finish();
}

static int run_unbind(const struct context *ctx, char **args, int n, const char *const *values)
{
	CLEANUP(change_end) struct change c = CHANGE_NONE;
	struct isomer_binding binding;
	char text[BINDING_TEXT_SIZE];
	ssize_t index;
	int r, status;

	(void)n;
	(void)values;

	status = operand_binding(args, &binding);
	if (status)
		return status;
	binding_text(&binding, args[0], text);

	if (command_begin_change(ctx, &c) < 0)
		return EXIT_FAILURE;
	index = bindings_find(&c.bindings, &binding);
	if (index < 0 || strcmp(label_of(&c, c.bindings.entries[index].destination), args[0]))
		return log_failure(-ENOENT,
				   "cannot unbind %s: there is no such binding; 'isomer-loader "
				   "bindings' lists them",
				   text);
	bindings_remove(&c.bindings, (size_t)index);
	r = change_commit(&c);
	if (r < 0)
		return commit_failure(&c, r, "unbind", text);

	printf("Removed %s\n", text);
	return command_finish();
}

const struct command cmd_bind = {
	.name = "bind",
	.operands = "LABEL PROTOCOL PREFIX[/LEN] PORT",
	.summary = "send traffic to PREFIX and PORT to the sockets of LABEL",
	.help = "PROTOCOL is tcp or udp. PREFIX is an IPv4 or IPv6 address; without a length it is that\n"
		"one address. PORT is a number, a range a-b, or 0 for all ports. The longest prefix\n"
		"wins; at equal length an exact port wins over a range, a smaller range over a larger\n"
		"one, and any range over all ports.\n"
		"\n"
		"Options:\n"
		"  --miss drop|pass  what happens while no socket is registered: refuse (default), or\n"
		"                    leave the traffic to whatever else listens\n"
		"  --replace         take prefix and port over from another label\n"
		"\n"
		"Examples:\n"
		"  isomer-loader bind foo tcp 127.0.0.0/24 80\n"
		"  isomer-loader bind game udp 192.0.2.7 27000-27100\n"
		"  isomer-loader bind all tcp 2001:db8::/64 0\n",
	.min_args = 4,
	.max_args = 4,
	.options = bind_options,
	.caps = CAPS_CHANGE,
	.run = run_bind,
};

const struct command cmd_unbind = {
	.name = "unbind",
	.operands = "LABEL PROTOCOL PREFIX[/LEN] PORT",
	.summary = "remove a binding",
	.help = "The operands are those that 'bind' was given.\n",
	.min_args = 4,
	.max_args = 4,
	.caps = CAPS_CHANGE,
	.run = run_unbind,
};
