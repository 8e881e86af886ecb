/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/attachment.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/answers.h"
#include "loader/attachment_program.h"
#include "loader/attachments.h"
#include "loader/bpffs.h"
#include "state/bpfsys.h"
#include "state/cleanup.h"
#include "state/slots.h"

struct attachment {
	const struct dispatcher *d;
	const struct cgroup *cgroup;
	const struct isomer_rules *rules;
	const char *label;
	struct attachment_program *program;
	struct answers *answers; /* NULL as long as there is no UDP socket */
	char folder[PATH_MAX];   /* empty: not attached yet */
	struct isomer_attachment state;
};

void attachment_freep(struct attachment **a)
{
	if (!*a)
		return;
	attachment_program_freep(&(*a)->program);
	answers_freep(&(*a)->answers);
	free(*a);
}

bool attachment_knows_netns(const struct attachment *a)
{
	return attachment_program_knows_netns(a->program);
}

/* ---- rules for the program ---- */

static void set_prefix(struct isomer_attachment_rule *r, const struct isomer_prefix *prefix)
{
	uint8_t *mask = (uint8_t *)r->mask;

	r->domain = prefix->domain;
	memcpy(r->addr, prefix->addr, sizeof(r->addr));
	for (unsigned bit = 0; bit < prefix->len; bit++)
		mask[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
}

static int set_destinations(const struct destinations *set, const char *label,
			    struct isomer_attachment_rule *r)
{
	static const uint8_t domains[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < 2; i++) {
		const struct destination *found =
			label ? destinations_find(set, label, domains[i], IPPROTO_TCP) : NULL;

		if (label && !found)
			return -ENOENT;
		r->destination[i] = found ? found->id : ISOMER_ATTACHMENT_NEVER;
	}
	return 0;
}

static int add_rule(struct attachment *a, const struct isomer_attachment_rule *r)
{
	uint32_t key = a->state.rules++;

	return bpfsys_map_update(attachment_program_maps(a->program).rules, &key, r, BPF_ANY);
}

static int write_rules(struct attachment *a, const struct destinations *set)
{
	int r = 0;

	for (size_t i = 0; r == 0 && a->rules && i < a->rules->n; i++) {
		const struct isomer_rule *rule = &a->rules->rule[i];
		struct isomer_attachment_rule compiled = { .port_first = rule->ports.first,
							   .port_last = rule->ports.last };

		if (rule->protocol == IPPROTO_UDP)
			continue;
		if (!rule->any_address)
			set_prefix(&compiled, &rule->prefix);
		r = set_destinations(set, rule->label, &compiled);
		if (r == 0)
			r = add_rule(a, &compiled);
	}
	if (r == 0 && a->label) {
		struct isomer_attachment_rule all = { .port_last = UINT16_MAX, .by_label = 1 };

		r = set_destinations(set, a->label, &all);
		if (r == 0)
			r = add_rule(a, &all);
	}
	return r;
}

static int write_state(const struct attachment *a)
{
	uint32_t key = 0;

	return bpfsys_map_update(attachment_program_maps(a->program).state, &key, &a->state,
				 BPF_ANY);
}

int attachment_prepare(const struct dispatcher *d, const struct destinations *set,
		       const struct cgroup *cg, const struct isomer_rules *rules, const char *label,
		       struct attachment **ret)
{
	CLEANUP(attachment_freep) struct attachment *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	*a = (struct attachment){ .d = d, .cgroup = cg, .rules = rules, .label = label };
	a->state.netns_cookie = d->st.info.netns_cookie;
	if (snprintf(a->state.cgroup, sizeof(a->state.cgroup), "%s", cg->path) >=
	    (int)sizeof(a->state.cgroup))
		return -ENAMETOOLONG;

	r = attachment_program_load(d, NULL, &a->program);
	if (r == 0)
		r = write_rules(a, set);
	if (r == 0)
		r = write_state(a);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(a);
	return 0;
}

/* ---- sockets that are there already ---- */

/* Which label the socket goes under; NULL: none. @ret_by_label: no rule says so. */
static const char *decide(const struct attachment *a, const struct isomer_socket *s,
			  bool *ret_by_label)
{
	const struct isomer_rule *rule = a->rules ? isomer_rules_match(a->rules, s) : NULL;

	*ret_by_label = !rule;
	return rule ? rule->label : a->label;
}

static void address_words(const struct isomer_socket *s, uint32_t ret[4], int *ret_wide)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&s->local;

	memset(ret, 0, 4 * sizeof(*ret));
	*ret_wide = s->ipv6;
	if (s->local.ss_family == AF_INET)
		ret[0] = ((const struct sockaddr_in *)&s->local)->sin_addr.s_addr;
	else if (!s->ipv6)
		ret[0] = in6->sin6_addr.s6_addr32[3];
	else
		memcpy(ret, &in6->sin6_addr, sizeof(in6->sin6_addr));
}

/* By label alone a TCP socket takes, or has to be on, the label's one address and port: claim() of
 * the program, which is not attached yet or may run at the same time. Returns 1 if it may be
 * registered, 0 if not, or -errno. */
static int claim(struct attachment *a, int fd, const struct isomer_socket *s)
{
	int holder = attachment_program_maps(a->program).holder, wide, r;
	uint32_t key = 0, addr[4];
	uint64_t value = (uint64_t)fd;

	address_words(s, addr, &wide);
	r = bpfsys_map_lookup(attachment_program_maps(a->program).state, &key, &a->state);
	if (r < 0)
		return r;
	r = bpfsys_map_update(holder, &key, &value, BPF_NOEXIST);
	if (r < 0 && r != -EEXIST)
		return r;
	if (r == 0) {
		a->state.port = s->port;
		a->state.has_addr[0] = a->state.has_addr[1] = 0;
	} else if (a->state.port != s->port ||
		   (a->state.has_addr[wide] && memcmp(a->state.addr[wide], addr, sizeof(addr)))) {
		return 0;
	}
	memcpy(a->state.addr[wide], addr, sizeof(addr));
	a->state.has_addr[wide] = 1;
	r = write_state(a);
	return r < 0 ? r : 1;
}

static int put(const struct attachment *a, const char *label, uint8_t domain, int fd,
	       const struct isomer_socket *s)
{
	CLEANUP_FD int slots = -1;
	int slot, r;

	r = isomer_slots_open(&a->d->st, label, domain, s->protocol, &slots);
	if (r == 0)
		r = isomer_slots_put(slots, fd, s->cookie, ISOMER_PLACE_CURRENT, &slot);
	if (r < 0)
		return r;
	return slot >= 0;
}

/* Lets a UDP socket answer from the address that it was asked at. Returns 1 or -errno. */
static int let_answer(struct attachment *a, int fd)
{
	int r = 0;

	if (!a->answers) {
		r = answers_load(&a->answers);
		if (r == 0 && a->folder[0])
			r = answers_attach(a->answers, a->d, a->cgroup->fd, a->folder);
	}
	if (r == 0)
		r = answers_add(a->answers, fd);
	return r < 0 ? r : 1;
}

int attachment_adopt(struct attachment *a, int fd, const struct isomer_socket *s)
{
	bool by_label;
	const char *label = decide(a, s, &by_label);
	int r = 1, done = 0;

	if (!label)
		return 0;
	if (s->protocol == IPPROTO_UDP)
		r = let_answer(a, fd);
	else if (by_label)
		r = claim(a, fd, s);
	if (r > 0 && s->ipv4)
		r = done = put(a, label, AF_INET, fd, s);
	if (r >= 0 && s->ipv6 && (done || !s->ipv4))
		r = put(a, label, AF_INET6, fd, s);
	return r < 0 ? r : r || done;
}

/* ---- attaching ---- */

static int pin_all(const struct attachment *a, const char *folder, int link)
{
	struct attachment_maps maps = attachment_program_maps(a->program);
	int r;

	r = attachment_pin(a->d, folder, ATTACHMENT_RULES, maps.rules);
	if (r == 0)
		r = attachment_pin(a->d, folder, ATTACHMENT_STATE, maps.state);
	if (r == 0)
		r = attachment_pin(a->d, folder, ATTACHMENT_HOLDER, maps.holder);
	if (r == 0)
		r = attachment_pin(a->d, folder, ATTACHMENT_PROGRAM,
				   attachment_program_fd(a->program));
	if (r == 0)
		r = attachment_pin(a->d, folder, ATTACHMENT_LINK, link);
	return r;
}

int attachment_commit(struct attachment *a)
{
	CLEANUP_FD int link = -1;
	char folder[PATH_MAX];
	int r;

	r = attachment_remove(a->d, a->cgroup->id);
	if (r < 0 && r != -ENOENT)
		return r;
	r = attachment_folder_make(a->d, a->cgroup->id, folder);
	if (r < 0)
		return r;
	link = bpf_link_create(attachment_program_fd(a->program), a->cgroup->fd,
			       BPF_CGROUP_SOCK_OPS, NULL);
	r = link < 0 ? -errno : 0;
	if (r == 0 && a->answers)
		r = answers_attach(a->answers, a->d, a->cgroup->fd, folder);
	if (r == 0)
		r = pin_all(a, folder, link);
	if (r < 0)
		(void)bpffs_remove(folder);
	else
		memcpy(a->folder, folder, sizeof(folder));
	return r;
}
