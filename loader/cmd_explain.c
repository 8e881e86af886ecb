/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/caps.h"
#include "loader/command.h"
#include "loader/connections.h"
#include "loader/explanation.h"
#include "loader/log.h"
#include "loader/operand.h"

struct question {
	struct target target;
	bool has_source;
	struct isomer_prefix source;
	uint16_t source_port;
	int connected; /* 1: a connected socket comes first */
};

static int parse(char **args, int n, struct question *ret)
{
	struct isomer_prefix ip;
	int status;

	if (n > 3 && strcmp(args[3], "from"))
		return log_usage(
			"'%s' should be 'from': explain takes PROTOCOL IP PORT [from IP PORT]",
			args[3]);
	if (n != 3 && n != 6)
		return log_usage(
			"explain takes PROTOCOL IP PORT [from IP PORT]; see 'isomer-loader "
			"explain --help'");
	status = operand_protocol(args[0], &ret->target.protocol);
	if (status == 0)
		status = operand_address(args[1], &ip);
	if (status == 0)
		status = operand_port(args[2], &ret->target.port);
	if (status == 0 && n == 6)
		status = operand_address(args[4], &ret->source);
	if (status == 0 && n == 6)
		status = operand_port(args[5], &ret->source_port);
	if (status)
		return status;

	ret->has_source = n == 6;
	ret->target.domain = ip.domain;
	memcpy(ret->target.addr, ip.addr, sizeof(ret->target.addr));
	if (ret->has_source && ret->source.domain != ip.domain)
		return log_usage("addresses '%s' and '%s' are of different families", args[1],
				 args[4]);
	return 0;
}

/* ---- texts ---- */

#define SOCKET_TEXT_SIZE 128

static void socket_text(const struct explanation *e, int slot, char ret[SOCKET_TEXT_SIZE])
{
	const struct socket_owner *owner = &e->owners[slot];
	const struct sockaddr_storage *local = &owner->socket.local;
	bool v6 = local->ss_family == AF_INET6;
	char ip[INET6_ADDRSTRLEN];

	if (!owner->pid) {
		snprintf(ret, SOCKET_TEXT_SIZE,
			 "sk:%" PRIx64 " (the process is not visible to this user)",
			 e->slots[slot]);
		return;
	}
	inet_ntop(local->ss_family,
		  v6 ? (const void *)&((const struct sockaddr_in6 *)local)->sin6_addr
		     : (const void *)&((const struct sockaddr_in *)local)->sin_addr,
		  ip, sizeof(ip));
	snprintf(ret, SOCKET_TEXT_SIZE, "sk:%" PRIx64 ", %s%s%s:%u of pid %d (%s)", e->slots[slot],
		 v6 ? "[" : "", ip, v6 ? "]" : "", owner->socket.port, (int)owner->pid,
		 owner->comm);
}

static const char *outcome_text(enum explanation_outcome outcome)
{
	switch (outcome) {
	case OUTCOME_ORDINARY:
		return "ordinary lookup: no binding covers it";
	case OUTCOME_DROP:
		return "refused: no registered socket lives, and the miss policy is drop";
	case OUTCOME_PASS:
		return "ordinary lookup: no registered socket lives, and the miss policy is pass";
	default:
		return "a registered socket";
	}
}

static const char *verdict_text(enum explanation_verdict verdict)
{
	switch (verdict) {
	case VERDICT_AGREES:
		return "agrees";
	case VERDICT_SKIPPED:
		return "skips the first socket, which is connected or shut down";
	case VERDICT_DIFFERS:
		return "differs";
	default:
		return "unknown";
	}
}

/* ---- for people ---- */

static void print_bindings(const struct explanation *e)
{
	const struct isomer_binding *winner = e->snapshot.bindings.entries;
	char text[BINDING_TEXT_SIZE];

	for (size_t i = 0; i < e->snapshot.bindings.n; i++) {
		const struct isomer_binding *b = &winner[i];

		binding_text(b, snapshot_label(&e->snapshot, b->destination), text);
		if (i == 0)
			printf("binding: %s\n", text);
		else
			printf("  beats %s: %s\n", text, explanation_why(winner, b));
	}
}

static void print_sockets(const struct explanation *e, int serving)
{
	char destination[DESTINATION_TEXT_SIZE], text[SOCKET_TEXT_SIZE];

	if (!e->destination)
		return;
	destination_text(&e->destination->key, destination);
	printf("destination: %s, id %u\n", destination, e->destination->id);
	for (int slot = 0; slot < ISOMER_SLOTS; slot++) {
		/* The current socket keeps a standby slot too. */
		if (!e->slots[slot] || (slot > 0 && e->slots[slot] == e->slots[0]))
			continue;
		socket_text(e, slot, text);
		printf("%s: slot %d, %s\n", slot == serving ? "socket" : "standby", slot, text);
	}
	printf("without a socket: %s\n", e->snapshot.bindings.entries[0].miss == ISOMER_MISS_PASS
						 ? "ordinary lookup"
						 : "refused");
}

static void print_kernel(const struct explanation *e)
{
	const char *judged = verdict_text(explanation_judge(e));

	if (e->kernel_error == -EOPNOTSUPP)
		printf("kernel: cannot be asked (Linux 5.13 and newer can)\n");
	else if (e->kernel_error == -EBUSY)
		printf("kernel: a member of a SO_REUSEPORT group, which it does not name\n");
	else if (e->kernel_error)
		printf("kernel: cannot be asked: %s\n", strerror(-e->kernel_error));
	else if (e->kernel.socket)
		printf("kernel: sk:%" PRIx64 ", %s\n", e->kernel.socket, judged);
	else
		printf("kernel: %s, %s\n", e->kernel.drop ? "refused" : "ordinary lookup", judged);
}

static int print_text(const struct question *q, const struct explanation *e)
{
	int serving = -1;
	enum explanation_outcome outcome = explanation_expect(e, &serving);

	if (q->connected > 0)
		printf("a connected socket has this traffic; the dispatcher is not asked. Otherwise:\n");
	print_bindings(e);
	print_sockets(e, serving);
	if (outcome != OUTCOME_SOCKET)
		printf("verdict: %s\n", outcome_text(outcome));
	print_kernel(e);
	return command_finish();
}

/* ---- for programs ---- */

static void json_binding(struct json *j, const char *key, const struct explanation *e, size_t i)
{
	const struct isomer_binding *b = &e->snapshot.bindings.entries[i];
	char text[BINDING_TEXT_SIZE];

	binding_text(b, snapshot_label(&e->snapshot, b->destination), text);
	json_object(j, key);
	json_text(j, "text", text);
	json_text(j, "label", snapshot_label(&e->snapshot, b->destination));
	json_text(j, "miss", b->miss == ISOMER_MISS_PASS ? "pass" : "drop");
	if (i > 0)
		json_text(j, "beaten_because", explanation_why(e->snapshot.bindings.entries, b));
	json_close_object(j);
}

static void json_slots(struct json *j, const struct explanation *e)
{
	char cookie[24];

	json_array(j, "slots");
	for (unsigned slot = 0; slot < ISOMER_SLOTS; slot++) {
		const struct socket_owner *owner = &e->owners[slot];

		if (!e->slots[slot])
			continue;
		snprintf(cookie, sizeof(cookie), "sk:%" PRIx64, e->slots[slot]);
		json_object(j, NULL);
		json_number(j, "slot", slot);
		json_text(j, "socket", cookie);
		if (owner->pid) {
			json_number(j, "pid", (uint64_t)owner->pid);
			json_text(j, "program", owner->comm);
		}
		json_close_object(j);
	}
	json_close_array(j);
}

static void json_kernel(struct json *j, const struct explanation *e)
{
	char cookie[24];

	snprintf(cookie, sizeof(cookie), "sk:%" PRIx64, e->kernel.socket);
	json_object(j, "kernel");
	json_text(j, "verdict",
		  e->kernel_error == -EBUSY ? "socket"
		  : e->kernel_error         ? NULL
		  : e->kernel.socket        ? "socket"
		  : e->kernel.drop          ? "drop"
					    : "ordinary");
	json_text(j, "socket", !e->kernel_error && e->kernel.socket ? cookie : NULL);
	json_text(j, "judgement", verdict_text(explanation_judge(e)));
	json_close_object(j);
}

static int print_json(const struct question *q, const struct explanation *e)
{
	static const char *const outcomes[] = {
		[OUTCOME_ORDINARY] = "ordinary",
		[OUTCOME_SOCKET] = "socket",
		[OUTCOME_DROP] = "drop",
		[OUTCOME_PASS] = "pass",
	};
	char destination[DESTINATION_TEXT_SIZE];
	struct json *j = json_new();
	int serving = -1;

	if (!j)
		return log_failure(-ENOMEM, "cannot print the explanation: %m");
	json_text(j, "outcome", outcomes[explanation_expect(e, &serving)]);
	if (q->has_source)
		json_boolean(j, "connected", q->connected > 0);
	if (e->snapshot.bindings.n)
		json_binding(j, "binding", e, 0);
	json_array(j, "beats");
	for (size_t i = 1; i < e->snapshot.bindings.n; i++)
		json_binding(j, NULL, e, i);
	json_close_array(j);
	if (e->destination) {
		destination_text(&e->destination->key, destination);
		json_text(j, "destination", destination);
		json_number(j, "id", e->destination->id);
	}
	json_slots(j, e);
	json_kernel(j, e);
	return command_finish_json(j);
}

static int run(const struct context *ctx, char **args, int n, const char *const *values)
{
	CLEANUP(explanation_done) struct explanation e = EXPLANATION_NONE;
	struct question q = { .connected = 0 };
	int r, status;

	(void)values;

	status = parse(args, n, &q);
	if (status)
		return status;
	r = explanation_make(ctx->bpffs, &ctx->netns, &q.target, &e);
	if (r < 0)
		return command_say_cannot_open(ctx, r, 0);
	if (q.has_source)
		q.connected = connections_find(&q.target, &q.source, q.source_port);

	status = ctx->json ? print_json(&q, &e) : print_text(&q, &e);
	if (status == 0 && explanation_judge(&e) == VERDICT_DIFFERS) {
		/* In JSON the document has said so. */
		log_notice("the kernel's verdict differs from what the bindings say, four times: "
			   "another program, or a fault of isomer");
		return EXIT_FAILURE;
	}
	return status;
}

const struct command cmd_explain = {
	.name = "explain",
	.operands = "PROTOCOL IP PORT [from IP PORT]",
	.summary = "tell which binding and socket traffic to IP and PORT gets, and why",
	.help = "Works out from the bindings which one matches and why it is preferred to others that\n"
		"cover the address, and asks the program in the kernel the same, without counting.\n"
		"With a source it looks for a connected socket, too: those come before any dispatcher.\n"
		"The process of a socket is shown as far as the user may see it.\n"
		"\n"
		"Example:\n"
		"  isomer-loader explain tcp 192.0.2.5 443\n",
	.min_args = 3,
	.max_args = 6,
	.json = true,
	.caps = CAPS_READ | CAPS_OWNERS | CAPS(CAP_NET_ADMIN),
	.run = run,
};
