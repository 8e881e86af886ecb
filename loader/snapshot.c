/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "loader/index.h"
#include "loader/json.h"
#include "loader/table.h"
#include "state/cleanup.h"
#include "state/parse.h"

/* How often it starts again when writers are faster. */
#define ATTEMPTS 1000

/* A label is made before its first binding is in force and dropped after its last is not any more.
 * So all labels of an index are there as long as it is in force; afterwards an id may be another
 * label's. */
static int read_consistently(const struct dispatcher *d, struct snapshot *s)
{
	uint32_t before, after;
	int r;

	for (int i = 0; i < ATTEMPTS; i++) {
		bindings_done(&s->bindings);
		destinations_done(&s->destinations);
		r = index_in_force(d, &before);
		if (r == 0)
			r = index_read(d, &s->bindings);
		if (r == 0)
			r = destinations_read(d, &s->destinations);
		if (r == 0)
			r = index_in_force(d, &after);
		if (r < 0 || before == after)
			return r;
	}
	return -EAGAIN;
}

/* Finds the label of each binding, and puts them in order. */
static int complete(const struct dispatcher *d, struct snapshot *s)
{
	s->n_ids = d->st.info.max_destinations;
	s->by_id = destinations_by_id(&s->destinations, s->n_ids);
	if (!s->by_id)
		return -ENOMEM;
	for (size_t i = 0; i < s->bindings.n; i++)
		if (s->bindings.entries[i].destination >= s->n_ids ||
		    !s->by_id[s->bindings.entries[i].destination])
			return -EAGAIN;
	bindings_sort(&s->bindings);
	return 0;
}

static int read_all(const struct dispatcher *d, struct snapshot *s)
{
	int r = read_consistently(d, s);

	return r < 0 ? r : complete(d, s);
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

int snapshot_of(const struct dispatcher *d, struct bindings *bindings, struct snapshot *ret)
{
	struct snapshot s = SNAPSHOT_NONE;
	int r;

	r = destinations_read(d, &s.destinations);
	if (r < 0)
		return r;
	s.bindings = *bindings;
	r = complete(d, &s);
	if (r < 0) {
		s.bindings = BINDINGS_NONE;
		snapshot_done(&s);
		return r;
	}

	*bindings = BINDINGS_NONE;
	*ret = s;
	return 0;
}

int snapshot_take(const char *bpffs, const struct netns *ns, struct dispatcher *ret_d,
		  struct snapshot *ret)
{
	struct dispatcher d = DISPATCHER_NONE;
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < ATTEMPTS; i++) {
		dispatcher_close(&d);
		r = dispatcher_open(bpffs, ns, DISPATCHER_READ, &d, NULL);
		if (r == 0)
			r = snapshot_read(&d, ret);
	}
	if (r < 0) {
		dispatcher_close(&d);
		return r;
	}

	*ret_d = d;
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

/* ---- for people ---- */

/* A column for the miss policy only where it says something. */
static bool any_pass(const struct bindings *set)
{
	for (size_t i = 0; i < set->n; i++)
		if (set->entries[i].miss == ISOMER_MISS_PASS)
			return true;
	return false;
}

static const char *miss_name(const struct isomer_binding *b)
{
	return b->miss == ISOMER_MISS_PASS ? "pass" : "drop";
}

static void binding_cell(size_t row, size_t column, const void *arg, char ret[TABLE_CELL_SIZE])
{
	const struct snapshot *s = arg;
	const struct isomer_binding *b = &s->bindings.entries[row];

	switch (column) {
	case 0:
		table_text(ret, isomer_protocol_name(b->protocol));
		break;
	case 1:
		binding_prefix_text(b, ret);
		break;
	case 2:
		binding_ports_text(b, ret);
		break;
	case 3:
		table_text(ret, snapshot_label(s, b->destination));
		break;
	default:
		table_text(ret, miss_name(b));
	}
}

void snapshot_print_bindings(const struct snapshot *s)
{
	struct table t = {
		.columns = any_pass(&s->bindings) ? 5 : 4,
		.rows = s->bindings.n,
		.headings = { "protocol", "prefix", "port", "label", "miss" },
		.cell = binding_cell,
		.arg = s,
	};

	printf("Bindings:\n");
	table_print(&t);
}

/* ---- for programs ---- */

void snapshot_json_bindings(const struct snapshot *s, struct json *j)
{
	char prefix[PREFIX_TEXT_SIZE], ports[PORTS_TEXT_SIZE];

	json_array(j, "bindings");
	for (size_t i = 0; i < s->bindings.n; i++) {
		const struct isomer_binding *b = &s->bindings.entries[i];

		binding_prefix_text(b, prefix);
		binding_ports_text(b, ports);
		json_object(j, NULL);
		json_text(j, "label", snapshot_label(s, b->destination));
		json_text(j, "protocol", isomer_protocol_name(b->protocol));
		json_text(j, "prefix", prefix);
		if (binding_all_ports(b) || b->port_first == b->port_last)
			json_number(j, "port", b->port_first);
		else
			json_text(j, "port", ports);
		json_text(j, "miss", miss_name(b));
		json_close_object(j);
	}
	json_close_array(j);
}
