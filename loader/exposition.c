/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/exposition.h"

#include <inttypes.h>

#include "loader/metrics.h"
#include "state/parse.h"

/* Labels of isomer need no escaping: quotes, backslashes and newlines are not allowed in them. */
static void labels(FILE *out, const struct destination_view *v)
{
	fprintf(out, "label=\"%s\",domain=\"%s\",protocol=\"%s\"", v->destination->key.label,
		isomer_domain_name(v->destination->key.domain),
		isomer_protocol_name(v->destination->key.protocol));
}

static uint64_t lookups(const struct destination_view *v)
{
	return v->metrics.lookups;
}

static uint64_t misses(const struct destination_view *v)
{
	return v->metrics.misses;
}

static uint64_t bindings(const struct destination_view *v)
{
	return v->bindings;
}

static uint64_t has_socket(const struct destination_view *v)
{
	return v->serving != 0;
}

static const struct family {
	const char *name, *type, *help;
	uint64_t (*value)(const struct destination_view *v);
} families[] = {
	{ "isomer_lookups_total", "counter", "Total number of times traffic matched a destination.",
	  lookups },
	{ "isomer_misses_total", "counter",
	  "Total number of failed lookups since no socket was registered.", misses },
	{ "isomer_bindings", "gauge", "The number of bindings for each label.", bindings },
	{ "isomer_destination_has_socket", "gauge",
	  "Whether or not a destination has a registered socket.", has_socket },
};

static void heading(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_family(FILE *out, const struct family *family, const struct overview *o)
{
	heading(out, family->name, family->type, family->help);
	for (size_t i = 0; i < o->n_destinations; i++) {
		fprintf(out, "%s{", family->name);
		labels(out, &o->destinations[i]);
		fprintf(out, "} %" PRIu64 "\n", family->value(&o->destinations[i]));
	}
}

static void write_errors(FILE *out, const struct overview *o)
{
	heading(out, "isomer_errors_total", "counter",
		"Total number of lookups in which something was in the way, by reason.");
	for (size_t i = 0; i < o->n_destinations; i++) {
		const struct destination_view *v = &o->destinations[i];

		for (int e = 0; e < ISOMER_ERRORS; e++) {
			fprintf(out, "isomer_errors_total{");
			labels(out, v);
			fprintf(out, ",reason=\"%s\"} %" PRIu64 "\n",
				metrics_error_name((enum isomer_error)e),
				(uint64_t)v->metrics.errors[e]);
		}
	}
}

static void write_reloads(FILE *out, const struct reload_record *reloads)
{
	heading(out, "isomer_bindings_file_reloads_total", "counter",
		"The number of times the watched file of bindings was to be put in force, by result.");
	fprintf(out, "isomer_bindings_file_reloads_total{result=\"applied\"} %" PRIu64 "\n",
		reloads->applied);
	fprintf(out, "isomer_bindings_file_reloads_total{result=\"failed\"} %" PRIu64 "\n",
		reloads->failed);
	heading(out, "isomer_bindings_file_last_reload_successful", "gauge",
		"Whether or not the watched file of bindings, as it is now, is in force.");
	fprintf(out, "isomer_bindings_file_last_reload_successful %" PRIu64 "\n",
		reloads->successful);
	heading(out, "isomer_bindings_file_last_success_timestamp_seconds", "gauge",
		"When the watched file of bindings was last put in force.");
	fprintf(out, "isomer_bindings_file_last_success_timestamp_seconds %" PRIu64 "\n",
		reloads->applied_at);
}

void exposition_write(FILE *out, const struct overview *o, const struct reload_record *reloads,
		      uint64_t errors)
{
	for (size_t i = 0; o && i < sizeof(families) / sizeof(families[0]); i++)
		write_family(out, &families[i], o);
	if (o)
		write_errors(out, o);
	if (reloads)
		write_reloads(out, reloads);

	heading(out, "isomer_collection_errors_total", "counter",
		"The number of times metrics collection encountered an error.");
	fprintf(out, "isomer_collection_errors_total %" PRIu64 "\n", errors);
	heading(out, "isomer_build_info", "gauge", "Build and version information.");
	fprintf(out, "isomer_build_info{version=\"%s\",schema=\"%d\"} 1\n", ISOMER_VERSION,
		ISOMER_SCHEMA);
}
