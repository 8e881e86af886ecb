/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/activity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "loader/metrics.h"
#include "loader/overview.h"
#include "loader/table.h"
#include "state/cleanup.h"

static const char *const counter_names[ACTIVITY_COUNTERS] = {
	[ACTIVITY_LOOKUPS] = "lookups",
	[ACTIVITY_MISSES] = "misses",
	[ACTIVITY_ERRORS] = "errors",
};

/* ---- reading ---- */

/* A dual-stack socket is registered more than once. */
static size_t count_sockets(const struct destination_view *views, size_t n)
{
	uint64_t seen[DESTINATIONS_OF_LABEL * ISOMER_SLOTS];
	size_t count = 0;

	for (size_t i = 0; i < n * ISOMER_SLOTS; i++) {
		uint64_t cookie = views[i / ISOMER_SLOTS].slots[i % ISOMER_SLOTS];
		size_t k = 0;

		while (k < count && seen[k] != cookie)
			k++;
		if (cookie && k == count)
			seen[count++] = cookie;
	}
	return count;
}

static void add_owner(struct activity_label *label, const struct socket_owner *owner)
{
	for (size_t i = 0; i < label->n_owners; i++)
		if (label->owners[i].pid == owner->pid)
			return;
	if (owner->pid)
		label->owners[label->n_owners++] = *owner;
}

/* Destinations of a label are neighbours. Returns how many there are. */
static size_t read_label(const struct overview *o, size_t first, const struct socket_owner *owners,
			 struct activity_label *ret)
{
	const char *name = o->destinations[first].destination->key.label;
	size_t n = 0;

	memcpy(ret->name, name, sizeof(ret->name));
	while (first + n < o->n_destinations &&
	       !strcmp(o->destinations[first + n].destination->key.label, name)) {
		const struct isomer_metrics *metrics = &o->destinations[first + n].metrics;

		ret->counts[ACTIVITY_LOOKUPS] += metrics->lookups;
		ret->counts[ACTIVITY_MISSES] += metrics->misses;
		ret->counts[ACTIVITY_ERRORS] += metrics_total_errors(metrics);
		add_owner(ret, &owners[first + n]);
		n++;
	}
	ret->sockets = count_sockets(&o->destinations[first], n);
	return n;
}

static int read_labels(const struct overview *o, struct activity *a)
{
	CLEANUP_FREE uint64_t *cookies = calloc(o->n_destinations + 1, sizeof(*cookies));
	CLEANUP_FREE struct socket_owner *owners = calloc(o->n_destinations + 1, sizeof(*owners));
	struct timespec now;
	int r;

	a->labels = calloc(o->n_destinations + 1, sizeof(*a->labels));
	if (!cookies || !owners || !a->labels)
		return -ENOMEM;
	clock_gettime(CLOCK_MONOTONIC, &now);
	a->time = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
	for (size_t i = 0; i < o->n_destinations; i++)
		cookies[i] = o->destinations[i].serving;
	r = process_sockets_find_owners(cookies, o->n_destinations, owners);
	if (r < 0)
		return r;
	for (size_t i = 0; i < o->n_destinations;)
		i += read_label(o, i, owners, &a->labels[a->n++]);
	return 0;
}

int activity_read(const char *bpffs, const struct netns *ns, struct activity *ret)
{
	CLEANUP(dispatcher_close) struct dispatcher d = DISPATCHER_NONE;
	CLEANUP(snapshot_done) struct snapshot s = SNAPSHOT_NONE;
	CLEANUP(overview_done) struct overview o = OVERVIEW_NONE;
	struct activity a = ACTIVITY_NONE;
	int r;

	r = snapshot_take(bpffs, ns, &d, &s);
	if (r == 0)
		r = overview_read(&d, &s, NULL, &o);
	if (r == 0)
		r = read_labels(&o, &a);
	if (r < 0) {
		activity_done(&a);
		return r;
	}

	*ret = a;
	return 0;
}

void activity_done(struct activity *a)
{
	free(a->labels);
	*a = ACTIVITY_NONE;
}

/* ---- comparing ---- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct activity_label *)a)->name,
		      ((const struct activity_label *)b)->name);
}

static int compare_rates(const void *a, const void *b)
{
	const struct activity_label *left = a, *right = b;

	for (int c = 0; c < ACTIVITY_COUNTERS; c++)
		if (left->rates[c] != right->rates[c])
			return left->rates[c] < right->rates[c] ? 1 : -1;
	return compare_names(a, b);
}

static const struct activity_label *find(const struct activity *a, const char *name)
{
	for (size_t i = 0; i < a->n; i++)
		if (!strcmp(a->labels[i].name, name))
			return &a->labels[i];
	return NULL;
}

void activity_compare(struct activity *a, const struct activity *before)
{
	for (size_t i = 0; i < a->n; i++) {
		struct activity_label *label = &a->labels[i];
		const struct activity_label *old = find(before, label->name);

		for (int c = 0; c < ACTIVITY_COUNTERS; c++) {
			uint64_t from = old ? old->counts[c] : 0;

			if (from > label->counts[c])
				from = 0; /* another label of that name, which began anew */
			label->rates[c] =
				(double)(label->counts[c] - from) / (a->time - before->time);
		}
	}
	qsort(a->labels, a->n, sizeof(*a->labels), compare_rates);
}

/* ---- showing ---- */

static void owners_text(const struct activity_label *label, char ret[TABLE_CELL_SIZE])
{
	int used = 0;

	if (label->n_owners == 0)
		table_text(ret, label->sockets ? "?" : "-");
	for (size_t i = 0; i < label->n_owners; i++)
		used += snprintf(ret + used, TABLE_CELL_SIZE - (size_t)used, "%s%s:%d",
				 i ? "," : "", label->owners[i].comm, (int)label->owners[i].pid);
}

static void cell(size_t row, size_t column, const void *arg, char ret[TABLE_CELL_SIZE])
{
	const struct activity_label *label = &((const struct activity *)arg)->labels[row];

	switch (column) {
	case 0:
		table_text(ret, label->name);
		break;
	case 4:
		snprintf(ret, TABLE_CELL_SIZE, "%zu", label->sockets);
		break;
	case 5:
		owners_text(label, ret);
		break;
	default:
		snprintf(ret, TABLE_CELL_SIZE, "%.1f", label->rates[column - 1]);
	}
}

void activity_print(const struct activity *a, FILE *out)
{
	struct table t = {
		.columns = 6,
		.rows = a->n,
		.headings = { "label", "lookups/s", "misses/s", "errors/s", "sockets", "owners" },
		.cell = cell,
		.arg = a,
	};

	table_write(&t, out);
}

void activity_json(const struct activity *a, struct json *j)
{
	json_array(j, "labels");
	for (size_t i = 0; i < a->n; i++) {
		const struct activity_label *label = &a->labels[i];

		json_object(j, NULL);
		json_text(j, "label", label->name);
		json_object(j, "per_second");
		for (int c = 0; c < ACTIVITY_COUNTERS; c++)
			json_real(j, counter_names[c], label->rates[c]);
		json_close_object(j);
		json_number(j, "sockets", label->sockets);
		json_array(j, "owners");
		for (size_t k = 0; k < label->n_owners; k++) {
			json_object(j, NULL);
			json_number(j, "pid", (uint64_t)label->owners[k].pid);
			json_text(j, "program", label->owners[k].comm);
			json_close_object(j);
		}
		json_close_array(j);
		json_close_object(j);
	}
	json_close_array(j);
}
