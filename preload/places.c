/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/places.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* A socket that is being put into the slots: this bit, the process and the thread. Cookies are
 * counted up from 1 and never get there. */
#define PENDING (1ULL << 63)

static struct place label_places[2][2];
static struct place rule_places[PLACE_MAX];

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t len)
{
	const unsigned char *byte = data;

	while (len--)
		hash = (hash ^ *byte++) * 0x100000001b3; /* FNV-1a */
	return hash;
}

uint64_t place_address(const char *label, uint8_t domain, const struct isomer_socket *s)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&s->local;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&s->local;
	uint64_t hash = hash_bytes(0xcbf29ce484222325, label, strlen(label) + 1);

	hash = hash_bytes(hash, &domain, sizeof(domain));
	hash = hash_bytes(hash, &s->protocol, sizeof(s->protocol));
	if (s->local.ss_family == AF_INET6) {
		hash = hash_bytes(hash, &in6->sin6_addr, sizeof(in6->sin6_addr));
		hash = hash_bytes(hash, &in6->sin6_scope_id, sizeof(in6->sin6_scope_id));
	} else {
		hash = hash_bytes(hash, &in->sin_addr, sizeof(in->sin_addr));
	}
	return hash << 17 | 1 << 16 | s->port;
}

uint16_t place_port(uint64_t address)
{
	return (uint16_t)address;
}

struct place *place_of_label(uint8_t domain, uint8_t protocol)
{
	return &label_places[domain == AF_INET6][protocol == IPPROTO_UDP];
}

struct place *place_of_rule(uint64_t address)
{
	for (size_t i = 0; i < PLACE_MAX; i++) {
		uint64_t seen = 0;

		if (atomic_compare_exchange_strong(&rule_places[i].address, &seen, address) ||
		    seen == address)
			return &rule_places[i];
	}
	return NULL;
}

static uint64_t pending(void)
{
	return PENDING | (uint64_t)getpid() << 32 | (uint32_t)gettid();
}

static bool socket_alive(uint64_t cookie, const uint64_t slots[ISOMER_SLOTS])
{
	if (cookie == 0)
		return false;
	if (cookie & PENDING) /* of the parent, when it was caught by a fork(): for ever */
		return (cookie & ~PENDING) >> 32 == (uint64_t)getpid();
	for (size_t i = 0; i < ISOMER_SLOTS; i++)
		if (slots[i] == cookie)
			return true;
	return false;
}

struct place_view place_look(struct place *place)
{
	struct place_view view = { .address = atomic_load(&place->address) };

	for (size_t i = 0; i < PLACE_SOCKETS; i++)
		view.sockets[i] = atomic_load(&place->sockets[i]);
	return view;
}

bool place_alive(const struct place_view *view, const uint64_t slots[ISOMER_SLOTS])
{
	for (size_t i = 0; i < PLACE_SOCKETS; i++)
		if (socket_alive(view->sockets[i], slots))
			return true;
	return false;
}

/* Gives the place its new address, once a seat in it is taken; another thread may be about the same
 * with another address. */
static bool take_address(struct place *place, const struct place_view *view, uint64_t address,
			 unsigned index)
{
	uint64_t seen = view->address;

	if (seen == address)
		return atomic_load(&place->address) == address;
	if (!atomic_compare_exchange_strong(&place->address, &seen, address))
		return false;
	for (unsigned i = 0; i < PLACE_SOCKETS; i++) {
		if (i == index || atomic_load(&place->sockets[i]) == view->sockets[i])
			continue;
		atomic_store(&place->address, view->address);
		return false;
	}
	return true;
}

enum place_claim place_claim(struct place *place, const struct place_view *view,
			     const uint64_t slots[ISOMER_SLOTS], uint64_t address, uint64_t cookie,
			     unsigned *ret_index)
{
	bool others = place_alive(view, slots);
	uint64_t seen = view->address;

	if (seen != address && seen != 0 && others)
		return PLACE_OTHER;
	for (unsigned i = 0; i < PLACE_SOCKETS; i++)
		if (view->sockets[i] == cookie)
			return PLACE_KEPT;

	for (unsigned i = 0; i < PLACE_SOCKETS; i++) {
		seen = view->sockets[i];
		if (socket_alive(seen, slots))
			continue;
		if (!atomic_compare_exchange_strong(&place->sockets[i], &seen, pending()))
			return PLACE_CHANGED;
		if (!take_address(place, view, address, i)) {
			place_settle(place, i, 0);
			return PLACE_CHANGED;
		}
		*ret_index = i;
		return others ? PLACE_FURTHER : PLACE_FIRST;
	}
	return PLACE_FULL;
}

void place_settle(struct place *place, unsigned index, uint64_t cookie)
{
	atomic_store(&place->sockets[index], cookie);
}
