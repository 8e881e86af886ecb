/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/claim.h"

#include <errno.h>
#include <netinet/in.h>

#include "preload/places.h"

/* Has the label, in @domain, a living socket of this process on an address that makes the new one
 * ambiguous: another port, or the same port of another address in a domain that both serve? */
static bool has_other(struct way *way, const struct request *r, uint8_t domain)
{
	struct place_view view = place_look(place_of_label(domain, r->s->protocol));
	uint64_t slots[ISOMER_SLOTS];
	struct failure unknown;

	if (view.address == 0)
		return false;
	if (request_serves(r, domain) ? view.address == place_address(r->label, domain, r->s)
				      : place_port(view.address) == r->s->port)
		return false;
	return way->read(way, r, domain, slots, &unknown) == 0 && place_alive(&view, slots);
}

static bool is_ambiguous(struct way *way, const struct request *r)
{
	if (r->by_rule)
		return false;
	for (size_t i = 0; i < REQUEST_DOMAINS; i++)
		if (has_other(way, r, request_domains[i]))
			return true;
	return false;
}

/* A further UDP socket on an address is one of several workers, or is about to be connected to a
 * single peer: no successor either way. */
static enum isomer_slots_place place_in_slots(const struct request *r, int claimed)
{
	return r->s->protocol == IPPROTO_UDP && claimed == PLACE_FURTHER ? ISOMER_PLACE_STANDBY
									 : ISOMER_PLACE_CURRENT;
}

/* Asks for a place in this process. Returns enum place_claim, or -1 with @ret_failure filled. */
static int claim(struct way *way, const struct request *r, uint8_t domain, struct place *place,
		 unsigned *ret_index, struct failure *ret_failure)
{
	uint64_t slots[ISOMER_SLOTS];
	struct place_view view;
	int ret;

	do {
		view = place_look(place);
		if (way->read(way, r, domain, slots, ret_failure) < 0)
			return -1;
		ret = (int)place_claim(place, &view, slots, place_address(r->label, domain, r->s),
				       r->s->cookie, ret_index);
	} while (ret == PLACE_CHANGED);
	return ret;
}

static int claim_in(struct way *way, const struct request *r, size_t i, struct outcome *ret,
		    struct failure *ret_failure)
{
	uint8_t domain = request_domains[i];
	int claimed = PLACE_KEPT, put; /* nothing to settle */
	struct place *place;
	unsigned index = 0;

	place = r->by_rule ? place_of_rule(place_address(r->label, domain, r->s))
			   : place_of_label(domain, r->s->protocol);
	if (place)
		claimed = claim(way, r, domain, place, &index, ret_failure);
	if (claimed < 0)
		return -1;
	if (claimed == PLACE_OTHER) /* of a thread that was faster */
		ret->ambiguous = true;
	if (claimed == PLACE_OTHER || claimed == PLACE_FULL)
		return 0;

	put = way->put(way, r, domain, place_in_slots(r, claimed), &ret->slots[i], ret_failure);
	if (claimed != PLACE_KEPT)
		place_settle(place, index, put < 0 ? 0 : r->s->cookie);
	if (put < 0 && ret_failure->error == -ENOSPC)
		return 0; /* no standby free: nothing that was promised */
	return put;
}

int claim_slots(struct way *way, const struct request *r, struct outcome *ret,
		struct failure *ret_failure)
{
	*ret = (struct outcome){ .slots = { -1, -1 } };
	ret->ambiguous = is_ambiguous(way, r);
	for (size_t i = 0; i < REQUEST_DOMAINS && !ret->ambiguous; i++)
		if (request_serves(r, request_domains[i]) &&
		    claim_in(way, r, i, ret, ret_failure) < 0)
			return -1;
	return 0;
}
