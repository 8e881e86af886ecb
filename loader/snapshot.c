/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "loader/index.h"
#include "loader/table.h"
#include "state/cleanup.h"
#include "state/parse.h"

static int read_all(const struct dispatcher *d, struct snapshot *s)
{
	int r;

	/* Bindings first: a label is made before its first binding and dropped after its last. */
	r = index_read(d, &s->bindings);
	if (r == 0)
		r = destinations_read(d, &s->destinations);
	if (r < 0)
		return r;

	s->n_ids = d->st.info.max_destinations;
	s->by_id = destinations_by_id(&s->destinations, s->n_ids);
	if (!s->by_id)
		return -ENOMEM;
	bindings_sort(&s->bindings);
	return 0;
}

int snapshot_read(const struct dispatcher *d, struct snapshot *ret)
{
	struct snapshot s = SNAPSHOT_NONE;
	int r = read_all(d, &s);

	if (r < 0) {
		snapshot_done(&s);
		return r;
	}

	*ret = s;
	return 0;
}

void snapshot_done(struct snapshot *s)
{
	bindings_done(&s->bindings);
	destinations_done(&s->destinations);
	free(s->by_id);
	*s = SNAPSHOT_NONE;
}

const char *snapshot_label(const struct snapshot *s, uint32_t id)
{
	return id < s->n_ids && s->by_id[id] ? s->by_id[id]->key.label : "?";
}

void snapshot_filter(struct snapshot *s,
		     bool (*keep)(const struct snapshot *s, const struct isomer_binding *binding,
				  const void *arg),
		     const void *arg)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->bindings.n; i++)
		if (keep(s, &s->bindings.entries[i], arg))
			s->bindings.entries[kept++] = s->bindings.entries[i];
	s->bindings.n = kept;
}

/* A column for the miss policy only where it says something. */
static bool any_pass(const struct bindings *set)
{
	for (size_t i = 0; i < set->n; i++)
		if (set->entries[i].miss == ISOMER_MISS_PASS)
			return true;
	return false;
}

int snapshot_print_bindings(const struct snapshot *s)
{
	bool show_miss = any_pass(&s->bindings);
	CLEANUP(table_freep) struct table *t = NULL;
	char prefix[PREFIX_TEXT_SIZE], ports[PORTS_TEXT_SIZE];

	t = show_miss ? table_new("protocol", "prefix", "port", "label", "miss", NULL)
		      : table_new("protocol", "prefix", "port", "label", NULL);
	if (!t)
		return -ENOMEM;
	for (size_t i = 0; i < s->bindings.n; i++) {
		const struct isomer_binding *b = &s->bindings.entries[i];

		binding_prefix_text(b, prefix);
		binding_ports_text(b, ports);
		table_cell(t, isomer_protocol_name(b->protocol));
		table_cell(t, prefix);
		table_cell(t, ports);
		table_cell(t, snapshot_label(s, b->destination));
		if (show_miss)
			table_cell(t, b->miss == ISOMER_MISS_PASS ? "pass" : "drop");
	}
	printf("Bindings:\n");
	return table_print(t);
}
