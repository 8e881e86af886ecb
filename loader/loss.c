/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/loss.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/labels.h"
#include "loader/log.h"
#include "loader/process_sockets.h"
#include "state/cleanup.h"
#include "state/parse.h"

struct loss {
	char label[ISOMER_LABEL_MAX + 1];
	uint64_t cookie;
};

struct losses {
	size_t n, room;
	struct loss *entries;
};

/* A socket sits in several slots, and a dual-stack one in two destinations. */
static int add(struct losses *l, const char *label, uint64_t cookie)
{
	struct loss *grown = l->entries;

	for (size_t i = 0; i < l->n; i++)
		if (l->entries[i].cookie == cookie && !strcmp(l->entries[i].label, label))
			return 0;
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 16;

		grown = reallocarray(l->entries, room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		l->entries = grown;
		l->room = room;
	}
	snprintf(grown[l->n].label, sizeof(grown[l->n].label), "%s", label);
	grown[l->n++].cookie = cookie;
	return 0;
}

int losses_collect(const struct dispatcher *d, const struct destinations *set, const char *label,
		   struct losses **ret)
{
	CLEANUP(losses_freep) struct losses *l = calloc(1, sizeof(*l));
	uint64_t cookies[ISOMER_SLOTS];
	int r = 0;

	if (!l)
		return -ENOMEM;
	for (size_t i = 0; i < set->n; i++) {
		const struct isomer_destination_key *key = &set->entries[i].key;

		if (label && strcmp(label, key->label))
			continue;
		r = destination_read_slots(d, key, cookies);
		for (int slot = 0; r == 0 && slot < ISOMER_SLOTS; slot++)
			if (cookies[slot])
				r = add(l, key->label, cookies[slot]);
		if (r < 0)
			return r;
	}

	*ret = TAKE_PTR(l);
	return 0;
}

static void say(const struct loss *loss, const struct socket_owner *owner)
{
	const struct sockaddr_storage *local = &owner->socket.local;
	const void *addr = local->ss_family == AF_INET6
				   ? (const void *)&((const struct sockaddr_in6 *)local)->sin6_addr
				   : (const void *)&((const struct sockaddr_in *)local)->sin_addr;
	char ip[INET6_ADDRSTRLEN];

	if (!owner->pid) {
		log_notice("label '%s' lost socket sk:%" PRIx64 "; its process was not found",
			   loss->label, loss->cookie);
		return;
	}
	inet_ntop(local->ss_family, addr, ip, sizeof(ip));
	log_notice(
		"label '%s' lost a socket of pid %d (%s); 'isomer-loader register-pid %d %s %s %s "
		"%u' registers it again",
		loss->label, (int)owner->pid, owner->comm, (int)owner->pid, loss->label,
		isomer_protocol_name(owner->socket.protocol), ip, owner->socket.port);
}

void losses_say(const struct losses *l)
{
	CLEANUP_FREE uint64_t *cookies = calloc(l->n + 1, sizeof(*cookies));
	CLEANUP_FREE struct socket_owner *owners = calloc(l->n + 1, sizeof(*owners));

	if (!cookies || !owners || l->n == 0)
		return;
	for (size_t i = 0; i < l->n; i++)
		cookies[i] = l->entries[i].cookie;
	(void)process_sockets_find_owners(cookies, l->n, owners);
	for (size_t i = 0; i < l->n; i++)
		say(&l->entries[i], &owners[i]);
}

void losses_freep(struct losses **losses)
{
	if (!*losses)
		return;
	free((*losses)->entries);
	free(*losses);
}
