/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/caps.h"
#include "loader/command.h"
#include "loader/log.h"
#include "loader/operand.h"

enum { OPTION_LABEL, OPTION_PROTOCOL, OPTION_IP, OPTION_PORT };

static const struct command_option options[] = {
	[OPTION_LABEL] = { "label", true },
	[OPTION_PROTOCOL] = { "protocol", true },
	[OPTION_IP] = { "ip", true },
	[OPTION_PORT] = { "port", true },
	{ 0 },
};

struct filter {
	const char *label;           /* NULL: any */
	uint8_t protocol;            /* 0: any */
	struct isomer_prefix prefix; /* domain 0: any */
	uint16_t port;               /* 0: any */
};

static int parse(const char *const *values, struct filter *ret)
{
	int status = 0;

	*ret = (struct filter){ .label = values[OPTION_LABEL] };
	if (ret->label)
		status = operand_label(ret->label);
	if (status == 0 && values[OPTION_PROTOCOL])
		status = operand_protocol(values[OPTION_PROTOCOL], &ret->protocol);
	if (status == 0 && values[OPTION_IP])
		status = operand_prefix(values[OPTION_IP], &ret->prefix);
	if (status == 0 && values[OPTION_PORT] && strcmp(values[OPTION_PORT], "0"))
		status = operand_port(values[OPTION_PORT], &ret->port);
	return status;
}

static bool overlap(const struct isomer_prefix *prefix, const struct isomer_binding *b)
{
	unsigned bits = prefix->len < b->prefixlen ? prefix->len : b->prefixlen;
	unsigned bytes = bits / 8, mask = 0xff00u >> bits % 8 & 0xff;

	return prefix->domain == b->domain && !memcmp(prefix->addr, b->addr, bytes) &&
	       (mask == 0 || ((prefix->addr[bytes] ^ b->addr[bytes]) & mask) == 0);
}

static bool matches(const struct snapshot *s, const struct isomer_binding *b, const void *arg)
{
	const struct filter *f = arg;

	return (!f->label || !strcmp(f->label, snapshot_label(s, b->destination))) &&
	       (!f->protocol || f->protocol == b->protocol) &&
	       (!f->prefix.domain || overlap(&f->prefix, b)) &&
	       (!f->port || (b->port_first <= f->port && f->port <= b->port_last));
}

static int print_json(const struct snapshot *s)
{
	struct json *j = json_new();

	if (!j)
		return log_failure(-ENOMEM, "cannot print the bindings: %m");
	snapshot_json_bindings(s, j);
	return command_finish_json(j);
}

static int run(const struct context *ctx, char **args, int n, const char *const *values)
{
	CLEANUP(dispatcher_close) struct dispatcher d = DISPATCHER_NONE;
	CLEANUP(snapshot_done) struct snapshot s = SNAPSHOT_NONE;
	struct filter filter;
	int status;

	(void)args;
	(void)n;

	status = parse(values, &filter);
	if (status)
		return status;
	if (command_take_snapshot(ctx, &d, &s) < 0)
		return EXIT_FAILURE;

	snapshot_filter(&s, matches, &filter);
	if (ctx->json)
		return print_json(&s);
	if (s.bindings.n == 0)
		printf("no bindings matched\n");
	else
		snapshot_print_bindings(&s);
	return command_finish();
}

const struct command cmd_bindings = {
	.name = "bindings",
	.operands = "",
	.summary = "list bindings, all or those that match",
	.help = "Lists bindings in the order in which they are preferred, those of each protocol and\n"
		"family together.\n"
		"\n"
		"Options:\n"
		"  --label LABEL        only those of LABEL\n"
		"  --protocol PROTOCOL  only tcp or udp\n"
		"  --ip PREFIX[/LEN]    only those that overlap PREFIX\n"
		"  --port PORT          only those that cover PORT\n"
		"\n"
		"With --json the document is one that 'load-bindings' reads.\n",
	.json = true,
	.options = options,
	.caps = CAPS_READ,
	.run = run,
};
