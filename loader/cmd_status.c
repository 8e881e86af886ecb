/* SPDX-License-Identifier: BSD-3-Clause */
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>

#include "loader/caps.h"
#include "loader/command.h"
#include "loader/labels.h"
#include "loader/log.h"
#include "loader/operand.h"
#include "loader/snapshot.h"
#include "loader/table.h"
#include "loader/users.h"
#include "state/bpfsys.h"

static bool of_label(const struct snapshot *s, const struct isomer_binding *b, const void *arg)
{
	return !strcmp(snapshot_label(s, b->destination), arg);
}

static int read_metrics(const struct dispatcher *d, uint32_t id, struct isomer_metrics *percpu,
			int cpus, struct isomer_metrics *ret)
{
	int r = bpfsys_map_lookup(d->metrics_fd, &id, percpu);

	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	for (int cpu = 0; cpu < cpus; cpu++) {
		ret->lookups += percpu[cpu].lookups;
		ret->misses += percpu[cpu].misses;
		for (int e = 0; e < ISOMER_ERRORS; e++)
			ret->errors[e] += percpu[cpu].errors[e];
	}
	return 0;
}

static uint64_t total_errors(const struct isomer_metrics *m)
{
	uint64_t total = 0;

	for (int e = 0; e < ISOMER_ERRORS; e++)
		total += m->errors[e];
	return total;
}

/* The socket that gets the traffic: the current one, or the newest standby. 0: none. */
static uint64_t serving(const uint64_t cookies[ISOMER_SLOTS])
{
	if (cookies[0])
		return cookies[0];
	for (int slot = ISOMER_SLOTS - 1; slot > 0; slot--)
		if (cookies[slot])
			return cookies[slot];
	return 0;
}

/* A label always has four destinations; those that nobody uses are not worth a line. */
static int add_destination(struct table *t, const struct dispatcher *d,
			   const struct destination *entry, bool bound,
			   struct isomer_metrics *percpu, int cpus)
{
	uint64_t cookies[ISOMER_SLOTS], socket;
	struct isomer_metrics metrics;
	int r;

	r = destination_read_slots(d, &entry->key, cookies);
	if (r == -ENOENT)
		return 0; /* dropped meanwhile */
	if (r == 0)
		r = read_metrics(d, entry->id, percpu, cpus, &metrics);
	if (r < 0)
		return r;

	socket = serving(cookies);
	if (!bound && !socket && !metrics.lookups)
		return 0;
	table_cell(t, entry->key.label);
	table_cell(t, isomer_domain_name(entry->key.domain));
	table_cell(t, isomer_protocol_name(entry->key.protocol));
	if (socket)
		table_cellf(t, "sk:%" PRIx64, socket);
	else
		table_cell(t, "sk:-");
	table_cellf(t, "%" PRIu64, (uint64_t)metrics.lookups);
	table_cellf(t, "%" PRIu64, (uint64_t)metrics.misses);
	table_cellf(t, "%" PRIu64, total_errors(&metrics));
	return 0;
}

static int print_destinations(const struct dispatcher *d, const struct snapshot *s,
			      const char *label)
{
	CLEANUP(table_freep) struct table *t = table_new("label", "domain", "protocol", "socket",
							 "lookups", "misses", "errors", NULL);
	CLEANUP_FREE bool *bound = calloc(s->n_ids, sizeof(*bound));
	int cpus = libbpf_num_possible_cpus(), r = 0;
	CLEANUP_FREE struct isomer_metrics *percpu = NULL;

	percpu = cpus > 0 ? calloc((size_t)cpus, sizeof(*percpu)) : NULL;
	if (!t || !bound || !percpu)
		return -ENOMEM;
	for (size_t i = 0; i < s->bindings.n; i++)
		if (s->bindings.entries[i].destination < s->n_ids)
			bound[s->bindings.entries[i].destination] = true;
	for (size_t i = 0; r == 0 && i < s->destinations.n; i++) {
		const struct destination *entry = &s->destinations.entries[i];

		if (entry->id < s->n_ids && (!label || !strcmp(label, entry->key.label)))
			r = add_destination(t, d, entry, bound[entry->id], percpu, cpus);
	}
	if (r < 0)
		return r;
	printf("\nDestinations:\n");
	return table_print(t);
}

/* Only where there is one: the reference knows none. */
static int print_grants(const struct dispatcher *d, const struct snapshot *s, const char *label)
{
	CLEANUP(table_freep) struct table *t = table_new("label", "user", "group", NULL);
	bool any = false;

	if (!t)
		return -ENOMEM;
	for (size_t i = 0; i < s->destinations.n; i += DESTINATIONS_OF_LABEL) {
		const char *name = s->destinations.entries[i].key.label;
		char user[USER_TEXT_SIZE], group[USER_TEXT_SIZE] = "-";
		struct label_grant grant;

		if ((label && strcmp(label, name)) || label_read_grant(d, name, &grant) < 0 ||
		    !grant.granted)
			continue;
		any = true;
		table_cell(t, name);
		user_text(grant.uid, user);
		table_cell(t, user);
		if (grant.has_group)
			group_text(grant.gid, group);
		table_cell(t, group);
	}
	if (!any)
		return 0;
	printf("\nGrants:\n");
	return table_print(t);
}

static int run(const struct context *ctx, char **args, int n, const char *const *values)
{
	CLEANUP(dispatcher_close) struct dispatcher d = DISPATCHER_NONE;
	CLEANUP(snapshot_done) struct snapshot s = SNAPSHOT_NONE;
	const char *label = n > 0 ? args[0] : NULL;
	int r, status;

	(void)values;

	status = label ? operand_label(label) : 0;
	if (status)
		return status;
	if (command_open_for_reading(ctx, &d) < 0)
		return EXIT_FAILURE;
	r = snapshot_read(&d, &s);
	if (r < 0)
		return log_failure(r, "cannot read the state of %s: %m", ctx->netns.path);
	if (label && !destinations_find(&s.destinations, label, AF_INET, IPPROTO_TCP))
		return log_failure(-ENOENT, "there is no label '%s'", label);

	if (label)
		snapshot_filter(&s, of_label, label);
	r = snapshot_print_bindings(&s);
	if (r == 0)
		r = print_destinations(&d, &s, label);
	if (r == 0)
		r = print_grants(&d, &s, label);
	if (r < 0)
		return log_failure(r, "cannot read the destinations of %s: %m", ctx->netns.path);
	return command_finish();
}

const struct command cmd_status = {
	.name = "status",
	.operands = "[LABEL]",
	.summary = "show bindings, destinations, their sockets and counters",
	.help = "The socket of a destination is the one that gets its traffic, by its kernel cookie;\n"
		"'sk:-' says that none is registered. Lookups count packets that matched a binding,\n"
		"misses those for which no registered socket lived, errors those for which a registered\n"
		"socket could not be used or another program had chosen one.\n",
	.min_args = 0,
	.max_args = 1,
	.caps = CAPS(CAP_BPF),
	.run = run,
};
