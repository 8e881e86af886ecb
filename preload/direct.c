/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/direct.h"

#include <errno.h>

#include "preload/claim.h"
#include "preload/seccomp.h"
#include "state/cleanup.h"
#include "state/slots.h"
#include "state/state.h"

/* Slots of each domain, open from the first to the last time that they are looked at. */
struct direct {
	struct way way;
	struct isomer_state st;
	int fds[REQUEST_DOMAINS]; /* -1: not open */
};

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

	/* Who forces this way knows that the filter allows bpf(). */
	ret_open = r->config->via == CONFIG_BPF ? 0 : seccomp_filtered();
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

static void close_slots(struct direct *d)
{
	for (size_t i = 0; i < REQUEST_DOMAINS; i++)
		cleanup_closep(&d->fds[i]);
}

static int *slots_of(struct direct *d, uint8_t domain)
{
	return &d->fds[domain == request_domains[0] ? 0 : 1];
}

static int open_slots(struct direct *d, const struct request *r, uint8_t domain,
		      struct failure *ret_failure)
{
	int *fd = slots_of(d, domain), ret = 0;

	if (*fd < 0)
		ret = isomer_slots_open(&d->st, r->label, domain, r->s->protocol, fd);
	return ret < 0 ? fail(ret_failure, FAILURE_LABEL, ret, d->st.info.netns_inode) : 0;
}

static int read_slots(struct way *way, const struct request *r, uint8_t domain,
		      uint64_t ret[ISOMER_SLOTS], struct failure *ret_failure)
{
	struct direct *d = (struct direct *)way;
	int error;

	if (open_slots(d, r, domain, ret_failure) < 0)
		return -1;
	error = isomer_slots_read(*slots_of(d, domain), ret);
	return error < 0 ? fail(ret_failure, FAILURE_SLOTS, error, d->st.info.netns_inode) : 0;
}

static int put(struct way *way, const struct request *r, uint8_t domain,
	       enum isomer_slots_place place, int *ret_slot, struct failure *ret_failure)
{
	struct direct *d = (struct direct *)way;
	int *fd = slots_of(d, domain), error;

	for (int attempt = 0; attempt < ISOMER_SLOTS_ATTEMPTS; attempt++) {
		if (open_slots(d, r, domain, ret_failure) < 0)
			return -1;
		error = isomer_slots_put(*fd, r->fd, r->s->cookie, place, ret_slot);
		if (error < 0)
			return fail(ret_failure, FAILURE_SLOTS, error, d->st.info.netns_inode);
		error = isomer_slots_check(&d->st, r->label, domain, r->s->protocol, *fd);
		if (error != -ESTALE && error != -ENOENT) /* the latter is told by open_slots() */
			return 0;
		cleanup_closep(fd);
		*fd = -1;
	}
	return fail(ret_failure, FAILURE_SLOTS, -ESTALE, d->st.info.netns_inode);
}

#define DIRECT_NONE                                                                                \
	(struct direct)                                                                            \
	{                                                                                          \
		.way = { read_slots, put }, .fds = { -1, -1 }                                      \
	}

int direct_check(const struct request *r, struct failure *ret_failure)
{
	CLEANUP(close_slots) struct direct d = DIRECT_NONE;

	if (open_state(r, &d.st, ret_failure) < 0)
		return -1;
	for (size_t i = 0; i < REQUEST_DOMAINS; i++)
		if (request_serves(r, request_domains[i]) &&
		    open_slots(&d, r, request_domains[i], ret_failure) < 0)
			return -1;
	return 0;
}

int direct_register(const struct request *r, struct outcome *ret, struct failure *ret_failure)
{
	CLEANUP(close_slots) struct direct d = DIRECT_NONE;

	if (open_state(r, &d.st, ret_failure) < 0)
		return -1;
	return claim_slots(&d.way, r, ret, ret_failure);
}
