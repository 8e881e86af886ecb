/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/overview.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/labels.h"
#include "loader/metrics.h"
#include "loader/table.h"
#include "loader/users.h"
#include "state/cleanup.h"
#include "state/parse.h"

/* ---- reading ---- */

/* The current socket, or the newest standby: what the BPF program tries first to last. */
static uint64_t serving(const uint64_t cookies[ISOMER_SLOTS])
{
	if (cookies[0])
		return cookies[0];
	for (int slot = ISOMER_SLOTS - 1; slot > 0; slot--)
		if (cookies[slot])
			return cookies[slot];
	return 0;
}

/* Returns 1 if it is in use, 0 if not, or -errno. */
static int view_destination(const struct dispatcher *d, struct metrics_reader *reader,
			    struct destination_view *view)
{
	int r;

	r = destination_read_slots(d, &view->destination->key, view->slots);
	if (r == -ENOENT)
		return 0; /* dropped meanwhile */
	view->hidden = r == -EACCES;
	if (r == 0 || view->hidden)
		r = metrics_read(reader, view->destination->id, &view->metrics);
	if (r < 0)
		return r;
	view->serving = serving(view->slots);
	return view->bindings || view->serving || view->hidden || view->metrics.lookups;
}

static int read_destinations(const struct dispatcher *d, const struct snapshot *s,
			     const char *label, struct overview *o)
{
	CLEANUP(metrics_reader_done) struct metrics_reader reader = { .fd = -1 };
	CLEANUP_FREE size_t *bindings = calloc(s->n_ids, sizeof(*bindings));
	int r;

	o->destinations = calloc(s->destinations.n + 1, sizeof(*o->destinations));
	if (!bindings || !o->destinations)
		return -ENOMEM;
	r = metrics_reader_init(&reader, d);
	if (r < 0)
		return r;

	for (size_t i = 0; i < s->bindings.n; i++)
		if (s->bindings.entries[i].destination < s->n_ids)
			bindings[s->bindings.entries[i].destination]++;
	for (size_t i = 0; i < s->destinations.n; i++) {
		const struct destination *destination = &s->destinations.entries[i];
		struct destination_view *view = &o->destinations[o->n_destinations];

		if (destination->id >= s->n_ids || (label && strcmp(label, destination->key.label)))
			continue;
		view->destination = destination;
		view->bindings = bindings[destination->id];
		r = view_destination(d, &reader, view);
		if (r < 0)
			return r;
		o->n_destinations += (size_t)r;
	}
	return 0;
}

static int read_grants(const struct dispatcher *d, const struct snapshot *s, const char *label,
		       struct overview *o)
{
	o->grants = calloc(s->destinations.n + 1, sizeof(*o->grants));
	if (!o->grants)
		return -ENOMEM;
	for (size_t i = 0; i < s->destinations.n; i++) {
		struct grant_view *view = &o->grants[o->n_grants];

		view->label = s->destinations.entries[i].key.label;
		if ((i > 0 && !strcmp(view->label, s->destinations.entries[i - 1].key.label)) ||
		    (label && strcmp(label, view->label)))
			continue;
		if (label_read_grant(d, view->label, &view->grant) == 0 && view->grant.granted)
			o->n_grants++;
	}
	return 0;
}

int overview_read(const struct dispatcher *d, const struct snapshot *s, const char *label,
		  struct overview *ret)
{
	struct overview o = OVERVIEW_NONE;
	int r;

	r = read_destinations(d, s, label, &o);
	if (r == 0)
		r = read_grants(d, s, label, &o);
	if (r < 0) {
		overview_done(&o);
		return r;
	}

	*ret = o;
	return 0;
}

void overview_done(struct overview *o)
{
	free(o->destinations);
	free(o->grants);
	*o = OVERVIEW_NONE;
}

/* ---- for people ---- */

#define COOKIE_TEXT_SIZE 24

static void cookie_text(uint64_t cookie, char ret[COOKIE_TEXT_SIZE])
{
	if (cookie)
		snprintf(ret, COOKIE_TEXT_SIZE, "sk:%" PRIx64, cookie);
	else
		snprintf(ret, COOKIE_TEXT_SIZE, "sk:-");
}

static void destination_cell(size_t row, size_t column, const void *arg, char ret[TABLE_CELL_SIZE])
{
	const struct destination_view *v = &((const struct overview *)arg)->destinations[row];
	uint64_t counts[] = { v->metrics.lookups, v->metrics.misses,
			      metrics_total_errors(&v->metrics) };

	switch (column) {
	case 0:
		table_text(ret, v->destination->key.label);
		break;
	case 1:
		table_text(ret, isomer_domain_name(v->destination->key.domain));
		break;
	case 2:
		table_text(ret, isomer_protocol_name(v->destination->key.protocol));
		break;
	case 3:
		if (v->hidden)
			table_text(ret, "sk:?");
		else
			cookie_text(v->serving, ret);
		break;
	default:
		snprintf(ret, TABLE_CELL_SIZE, "%" PRIu64, counts[column - 4]);
	}
}

static void grant_cell(size_t row, size_t column, const void *arg, char ret[TABLE_CELL_SIZE])
{
	const struct grant_view *v = &((const struct overview *)arg)->grants[row];

	if (column == 0)
		table_text(ret, v->label);
	else if (column == 1)
		user_text(v->grant.uid, ret);
	else if (v->grant.has_group)
		group_text(v->grant.gid, ret);
	else
		table_text(ret, "-");
}

void overview_print(const struct overview *o)
{
	struct table destinations = {
		.columns = 7,
		.rows = o->n_destinations,
		.headings = { "label", "domain", "protocol", "socket", "lookups", "misses",
			      "errors" },
		.cell = destination_cell,
		.arg = o,
	};
	struct table grants = {
		.columns = 3,
		.rows = o->n_grants,
		.headings = { "label", "user", "group" },
		.cell = grant_cell,
		.arg = o,
	};

	printf("\nDestinations:\n");
	table_print(&destinations);
	if (o->n_grants) {
		printf("\nGrants:\n");
		table_print(&grants);
	}
}

/* ---- for programs ---- */

static void destination_json(const struct destination_view *v, struct json *j)
{
	char cookie[COOKIE_TEXT_SIZE];

	json_object(j, NULL);
	json_text(j, "label", v->destination->key.label);
	json_text(j, "domain", isomer_domain_name(v->destination->key.domain));
	json_text(j, "protocol", isomer_protocol_name(v->destination->key.protocol));
	json_number(j, "bindings", v->bindings);
	cookie_text(v->serving, cookie);
	json_text(j, "socket", v->serving ? cookie : NULL);
	json_array(j, "slots");
	for (unsigned slot = 0; slot < ISOMER_SLOTS; slot++) {
		if (!v->slots[slot])
			continue;
		cookie_text(v->slots[slot], cookie);
		json_object(j, NULL);
		json_number(j, "slot", slot);
		json_text(j, "socket", cookie);
		json_close_object(j);
	}
	json_close_array(j);
	json_number(j, "lookups", v->metrics.lookups);
	json_number(j, "misses", v->metrics.misses);
	json_object(j, "errors");
	for (int e = 0; e < ISOMER_ERRORS; e++)
		json_number(j, metrics_error_name((enum isomer_error)e), v->metrics.errors[e]);
	json_close_object(j);
	json_close_object(j);
}

void overview_json(const struct overview *o, struct json *j)
{
	char user[USER_TEXT_SIZE], group[USER_TEXT_SIZE];

	json_array(j, "destinations");
	for (size_t i = 0; i < o->n_destinations; i++)
		destination_json(&o->destinations[i], j);
	json_close_array(j);
	json_array(j, "grants");
	for (size_t i = 0; i < o->n_grants; i++) {
		const struct grant_view *v = &o->grants[i];

		user_text(v->grant.uid, user);
		group_text(v->grant.gid, group);
		json_object(j, NULL);
		json_text(j, "label", v->label);
		json_text(j, "user", user);
		json_text(j, "group", v->grant.has_group ? group : NULL);
		json_close_object(j);
	}
	json_close_array(j);
}
