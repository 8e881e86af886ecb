/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/registration.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/labels.h"
#include "loader/log.h"
#include "state/slots.h"

static bool serves(const struct registration *reg, uint8_t domain)
{
	return domain == AF_INET ? reg->socket.ipv4 : reg->socket.ipv6;
}

/* Is there a socket before @i in the list that serves the same destination? -1 if not. */
static ssize_t predecessor(const struct registration *list, size_t i, uint8_t domain)
{
	for (size_t k = 0; k < i; k++)
		if (!strcmp(list[k].label, list[i].label) &&
		    list[k].socket.protocol == list[i].socket.protocol && serves(&list[k], domain))
			return (ssize_t)k;
	return -1;
}

static void text_of(const struct registration *reg, uint8_t domain, char ret[DESTINATION_TEXT_SIZE])
{
	struct isomer_destination_key key;

	destination_key_init(&key, reg->label, domain, reg->socket.protocol);
	destination_text(&key, ret);
}

static int check(const struct registration *list, size_t n, uint8_t domain)
{
	char text[DESTINATION_TEXT_SIZE];

	for (size_t i = 0; i < n; i++) {
		ssize_t first = serves(&list[i], domain) ? predecessor(list, i, domain) : -1;

		if (first < 0 || isomer_socket_same_address(&list[first].socket, &list[i].socket))
			continue;
		text_of(&list[i], domain, text);
		return log_failure(-EEXIST,
				   "found sockets on different addresses or ports for destination "
				   "%s (ports %u and %u): give each a label of its own",
				   text, list[first].socket.port, list[i].socket.port);
	}
	return 0;
}

static int put(struct change *c, const struct registration *list, size_t i, uint8_t domain,
	       bool created)
{
	const struct registration *reg = &list[i];
	bool first = predecessor(list, i, domain) < 0;
	char text[DESTINATION_TEXT_SIZE];
	CLEANUP_FD int slots = -1;
	int r;

	text_of(reg, domain, text);
	r = isomer_slots_open(&c->d.st, reg->label, domain, reg->socket.protocol, &slots);
	if (r == 0)
		r = isomer_slots_put(slots, reg->fd, reg->socket.cookie,
				     first ? ISOMER_PLACE_TAKE_OVER : ISOMER_PLACE_STANDBY, NULL);
	if (r == -ENOSPC)
		return 0; /* shares the traffic of its group all the same */
	if (r < 0)
		return log_failure(r, "cannot register socket sk:%" PRIx64 " for %s: %m",
				   reg->socket.cookie, text);

	printf("registered socket sk:%" PRIx64 ": %s destination %s\n", reg->socket.cookie,
	       created ? "created" : "updated", text);
	return 0;
}

static int put_all(struct change *c, const struct registration *list, size_t n)
{
	CLEANUP_FREE bool *created = calloc(n + 1, sizeof(*created));
	int status = 0;

	if (!created)
		return log_failure(-ENOMEM, "cannot register: %m");
	for (size_t i = 0; i < n; i++)
		created[i] =
			!destinations_find(&c->destinations, list[i].label, AF_INET, IPPROTO_TCP);
	for (size_t i = 0; i < n; i++)
		if (command_create_label(c, list[i].label) < 0)
			return EXIT_FAILURE;
	for (size_t i = 0; status == 0 && i < n; i++) {
		if (serves(&list[i], AF_INET))
			status = put(c, list, i, AF_INET, created[i]);
		if (status == 0 && serves(&list[i], AF_INET6))
			status = put(c, list, i, AF_INET6, created[i]);
	}
	return status;
}

int registrations_run(const struct context *ctx, const struct registration *list, size_t n)
{
	CLEANUP(change_end) struct change c = CHANGE_NONE;
	int status;

	status = check(list, n, AF_INET);
	if (status == 0)
		status = check(list, n, AF_INET6);
	if (status)
		return status;
	if (command_begin_change(ctx, &c) < 0)
		return EXIT_FAILURE;

	status = put_all(&c, list, n);
	if (status)
		(void)change_collect(&c);
	return status ? status : command_finish();
}
