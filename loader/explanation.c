/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/explanation.h"

#include <errno.h>
#include <string.h>

#include "loader/labels.h"
#include "state/cleanup.h"

#define ATTEMPTS 4

static bool prefix_covers(const struct isomer_binding *b, const uint8_t addr[16])
{
	unsigned bytes = b->prefixlen / 8, bits = b->prefixlen % 8;
	unsigned mask = 0xff00u >> bits & 0xff;

	return !memcmp(b->addr, addr, bytes) &&
	       (mask == 0 || ((b->addr[bytes] ^ addr[bytes]) & mask) == 0);
}

static bool covers(const struct snapshot *s, const struct isomer_binding *b, const void *arg)
{
	const struct target *t = arg;

	(void)s;
	return b->domain == t->domain && b->protocol == t->protocol && b->port_first <= t->port &&
	       t->port <= b->port_last && prefix_covers(b, t->addr);
}

void explanation_find_bindings(struct snapshot *s, const struct target *t)
{
	snapshot_filter(s, covers, t);
}

static int read_slots(const struct dispatcher *d, struct explanation *e)
{
	int r;

	memset(e->slots, 0, sizeof(e->slots));
	e->destination = NULL;
	if (e->snapshot.bindings.n == 0)
		return 0;
	e->destination = e->snapshot.by_id[e->snapshot.bindings.entries[0].destination];
	if (!e->destination)
		return 0; /* dropped meanwhile */
	r = destination_read_slots(d, &e->destination->key, e->slots);
	return r == -ENOENT ? 0 : r;
}

static int read_once(const char *bpffs, const struct netns *ns, const struct target *target,
		     struct explanation *e)
{
	CLEANUP(dispatcher_close) struct dispatcher d = DISPATCHER_NONE;
	int r;

	r = snapshot_take(bpffs, ns, &d, &e->snapshot);
	if (r < 0)
		return r;
	explanation_find_bindings(&e->snapshot, target);
	r = read_slots(&d, e);
	if (r < 0)
		return r;
	e->kernel_error = kernel_verdict_ask(&d, target, &e->kernel);
	return 0;
}

int explanation_make(const char *bpffs, const struct netns *ns, const struct target *target,
		     struct explanation *ret)
{
	struct explanation e = EXPLANATION_NONE;
	int r;

	for (int i = 0; i < ATTEMPTS; i++) {
		explanation_done(&e);
		r = read_once(bpffs, ns, target, &e);
		if (r < 0) {
			explanation_done(&e);
			return r;
		}
		if (explanation_judge(&e) != VERDICT_DIFFERS)
			break;
	}
	(void)process_sockets_find_owners(e.slots, ISOMER_SLOTS, e.owners);

	*ret = e;
	return 0;
}

void explanation_done(struct explanation *e)
{
	snapshot_done(&e->snapshot);
	*e = EXPLANATION_NONE;
}

/* ---- judging ---- */

/* In the order in which the program tries them. */
static int slot_at(int turn)
{
	return (ISOMER_SLOTS - turn) % ISOMER_SLOTS;
}

enum explanation_outcome explanation_expect(const struct explanation *e, int *ret_slot)
{
	if (e->snapshot.bindings.n == 0)
		return OUTCOME_ORDINARY;
	for (int turn = 0; turn < ISOMER_SLOTS; turn++) {
		if (!e->slots[slot_at(turn)])
			continue;
		*ret_slot = slot_at(turn);
		return OUTCOME_SOCKET;
	}
	return e->snapshot.bindings.entries[0].miss == ISOMER_MISS_PASS ? OUTCOME_PASS
									: OUTCOME_DROP;
}

static bool in_slots(const struct explanation *e, uint64_t cookie)
{
	for (int i = 0; i < ISOMER_SLOTS; i++)
		if (e->slots[i] == cookie)
			return true;
	return false;
}

static bool is_miss(const struct explanation *e)
{
	bool drop = e->snapshot.bindings.entries[0].miss == ISOMER_MISS_DROP;

	return !e->kernel.socket && e->kernel.drop == drop;
}

enum explanation_verdict explanation_judge(const struct explanation *e)
{
	int slot = 0;

	if (e->kernel_error)
		return VERDICT_UNKNOWN;
	switch (explanation_expect(e, &slot)) {
	case OUTCOME_ORDINARY:
		return e->kernel.drop || e->kernel.socket ? VERDICT_DIFFERS : VERDICT_AGREES;
	case OUTCOME_SOCKET:
		if (e->kernel.socket == e->slots[slot])
			return VERDICT_AGREES;
		return in_slots(e, e->kernel.socket) || is_miss(e) ? VERDICT_SKIPPED
								   : VERDICT_DIFFERS;
	default:
		return is_miss(e) ? VERDICT_AGREES : VERDICT_DIFFERS;
	}
}

const char *explanation_why(const struct isomer_binding *a, const struct isomer_binding *b)
{
	if (a->prefixlen != b->prefixlen)
		return "its prefix is longer";
	if (a->port_last - a->port_first != b->port_last - b->port_first)
		return "it covers fewer ports";
	return "its range begins higher";
}
