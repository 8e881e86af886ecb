/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/direct.h"

#include <errno.h>
#include <netinet/in.h>

#include "preload/places.h"
#include "preload/seccomp.h"
#include "state/cleanup.h"
#include "state/slots.h"
#include "state/state.h"

static uint64_t start_inode; /* 0: not known */

void direct_start(void)
{
	if (isomer_netns_inode(NULL, &start_inode) < 0)
		start_inode = 0;
}

static int fail(struct failure *ret, enum failure_stage stage, int error, uint64_t inode)
{
	*ret = (struct failure){ .stage = stage, .error = error, .netns_inode = inode };
	return -1;
}

/* Opens the state of the thread's network namespace, if the socket belongs there. */
static int open_state(const struct request *r, struct isomer_state *ret,
		      struct failure *ret_failure)
{
	uint64_t inode = 0;
	int ret_inode, ret_open;

	ret_open = seccomp_filtered();
	if (ret_open != 0)
		return fail(ret_failure, FAILURE_SECCOMP, ret_open, 0);
	ret_inode = isomer_netns_inode(NULL, &inode);
	if (ret_inode < 0)
		inode = start_inode; /* an old guess does no harm: the cookies below tell */
	if (inode == 0)
		return fail(ret_failure, FAILURE_NETNS, ret_inode, 0);

	ret_open = isomer_state_open(r->config->bpffs, inode, ret);
	if (ret_open < 0)
		return fail(ret_failure, FAILURE_STATE, ret_open, inode);
	ret_open = isomer_state_check_netns(ret, r->s->netns_cookie);
	if (ret_open < 0)
		return fail(ret_failure, FAILURE_NETNS, ret_open, inode);
	return 0;
}

static int open_slots(const struct request *r, const struct isomer_state *st, uint8_t domain,
		      int *ret_fd, struct failure *ret_failure)
{
	int ret = isomer_slots_open(st, r->label, domain, r->s->protocol, ret_fd);

	return ret < 0 ? fail(ret_failure, FAILURE_LABEL, ret, st->info.netns_inode) : 0;
}

int direct_check(const struct request *r, struct failure *ret_failure)
{
	struct isomer_state st;

	if (open_state(r, &st, ret_failure) < 0)
		return -1;
	for (size_t i = 0; i < REQUEST_DOMAINS; i++) {
		CLEANUP_FD int fd = -1;

		if (request_serves(r, request_domains[i]) &&
		    open_slots(r, &st, request_domains[i], &fd, ret_failure) < 0)
			return -1;
	}
	return 0;
}

/* Has the label, in @domain, a living socket of this process on an address that makes the new one
 * ambiguous: another port, or the same port of another address in a domain that both serve? */
static bool has_other(const struct request *r, const struct isomer_state *st, uint8_t domain)
{
	struct place_view view = place_look(place_of_label(domain, r->s->protocol));
	uint64_t slots[ISOMER_SLOTS];
	CLEANUP_FD int fd = -1;

	if (view.address == 0)
		return false;
	if (request_serves(r, domain) ? view.address == place_address(r->label, domain, r->s)
				      : place_port(view.address) == r->s->port)
		return false;
	return isomer_slots_open(st, r->label, domain, r->s->protocol, &fd) == 0 &&
	       isomer_slots_read(fd, slots) == 0 && place_alive(&view, slots);
}

static bool is_ambiguous(const struct request *r, const struct isomer_state *st)
{
	if (r->by_rule)
		return false;
	for (size_t i = 0; i < REQUEST_DOMAINS; i++)
		if (has_other(r, st, request_domains[i]))
			return true;
	return false;
}

/* A further UDP socket on an address is one of several workers, or is about to be connected to a
 * single peer: no successor either way. */
static enum isomer_slots_place place_in_slots(const struct request *r, enum place_claim claimed)
{
	return r->s->protocol == IPPROTO_UDP && claimed == PLACE_FURTHER ? ISOMER_PLACE_STANDBY
									 : ISOMER_PLACE_CURRENT;
}

/* Asks for a place in this process. Returns enum place_claim, or -errno. */
static int claim(const struct request *r, int slots_fd, struct place *place, uint64_t address,
		 unsigned *ret_index)
{
	uint64_t slots[ISOMER_SLOTS];
	struct place_view view;
	int ret;

	do {
		view = place_look(place);
		ret = isomer_slots_read(slots_fd, slots);
		if (ret < 0)
			return ret;
		ret = (int)place_claim(place, &view, slots, address, r->s->cookie, ret_index);
	} while (ret == PLACE_CHANGED);
	return ret;
}

/* Puts the socket into open slots, unless this process has enough there. */
static int put(const struct request *r, int slots_fd, uint8_t domain, bool *ret_ambiguous,
	       int *ret_slot)
{
	uint64_t address = place_address(r->label, domain, r->s);
	int claimed = PLACE_KEPT, ret; /* nothing to settle */
	struct place *place;
	unsigned index = 0;

	place = r->by_rule ? place_of_rule(address) : place_of_label(domain, r->s->protocol);
	if (place)
		claimed = claim(r, slots_fd, place, address, &index);
	if (claimed < 0)
		return claimed;
	if (claimed == PLACE_OTHER) /* of a thread that was faster */
		*ret_ambiguous = true;
	if (claimed == PLACE_OTHER || claimed == PLACE_FULL)
		return 0;

	ret = isomer_slots_put(slots_fd, r->fd, r->s->cookie,
			       place_in_slots(r, (enum place_claim)claimed), ret_slot);
	if (claimed != PLACE_KEPT)
		place_settle(place, index, ret < 0 ? 0 : r->s->cookie);
	return ret == -ENOSPC ? 0 : ret; /* no standby free: nothing that was promised */
}

/* The label's slots may be replaced (by `revoke`, or a label that went and came back) between
 * opening them and putting the socket in: then once more, into those that are in force. */
#define ATTEMPTS 3

static int register_in(const struct request *r, const struct isomer_state *st, size_t i,
		       struct outcome *ret, struct failure *ret_failure)
{
	uint8_t domain = request_domains[i];

	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		CLEANUP_FD int fd = -1;
		int error;

		if (open_slots(r, st, domain, &fd, ret_failure) < 0)
			return -1;
		error = put(r, fd, domain, &ret->ambiguous, &ret->slots[i]);
		if (error < 0)
			return fail(ret_failure, FAILURE_SLOTS, error, st->info.netns_inode);
		error = isomer_slots_check(st, r->label, domain, r->s->protocol, fd);
		if (error != -ESTALE && error != -ENOENT) /* the latter is told by open_slots() */
			return 0;
	}
	return fail(ret_failure, FAILURE_SLOTS, -ESTALE, st->info.netns_inode);
}

int direct_register(const struct request *r, struct outcome *ret, struct failure *ret_failure)
{
	struct isomer_state st;

	*ret = (struct outcome){ .slots = { -1, -1 } };
	if (open_state(r, &st, ret_failure) < 0)
		return -1;
	ret->ambiguous = is_ambiguous(r, &st);
	for (size_t i = 0; i < REQUEST_DOMAINS && !ret->ambiguous; i++)
		if (request_serves(r, request_domains[i]) &&
		    register_in(r, &st, i, ret, ret_failure) < 0)
			return -1;
	return 0;
}
