/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/traffic/report.h"

#include <string.h>

#include "bench/plot.h"

/* Of UDP, with many ports of each address: at most 3 % less than with a program that only assigns.
 */
#define AIM 0.97

static const struct series *series_of(const struct samples *s, enum way_kind kind)
{
	for (size_t i = 0; i < n_ways; i++)
		if (ways[i].kind == kind)
			return &s->ways[i];
	return NULL;
}

/* More things a second is less time for each: the quartiles change places. */
static void print_ratio(FILE *out, const struct series *s, const struct series *base)
{
	struct quartiles q = series_ratio(base, s);

	fprintf(out, "%.3f (%.3f to %.3f) | ", q.median, q.low, q.high);
}

static bool print_verdict(FILE *out, const struct samples *s, size_t i)
{
	bool met;

	if (strcmp(s->protocol, "udp") != 0 || ways[i].kind != WAY_ISOMER ||
	    ways[i].set != SET_PORTS) {
		fprintf(out, "|\n");
		return true;
	}
	met = series_ratio(series_of(s, WAY_ASSIGN), &s->ways[i]).median >= AIM;
	fprintf(out, "%.2f to only assigning: %s |\n", AIM, met ? "met" : "NOT met");
	return met;
}

static bool print_row(FILE *out, const struct samples *s, size_t i)
{
	struct quartiles q;

	if (ways[i].bindings > s->bindings)
		return true;
	fprintf(out, "| %s | ", ways[i].name);
	if (s->ways[i].n == 0) {
		fprintf(out, "not to be had here | | | | | | |\n");
		return true;
	}
	q = series_quartiles(&s->ways[i]);
	fprintf(out, "%.0f | %.0f to %.0f | %.0f | %.0f | ", 1e9 / q.median, 1e9 / q.high,
		1e9 / q.low, q.median, series_minimum(&s->ways[i]));
	print_ratio(out, &s->ways[i], series_of(s, WAY_ANYIP));
	print_ratio(out, &s->ways[i], series_of(s, WAY_ASSIGN));
	return print_verdict(out, s, i);
}

bool report_table(FILE *out, const struct samples *s, const char *thing)
{
	bool met = true;

	fprintf(out,
		"\n| %zu rounds | %s a second | quartiles | ns each | minimum | to a wildcard "
		"listener (quartiles) | to only assigning (quartiles) | aim |\n"
		"|---|---|---|---|---|---|---|---|\n",
		s->rounds, thing);
	for (size_t i = 0; i < n_ways; i++)
		met = print_row(out, s, i) && met;
	return met;
}

static const char *colour(enum way_kind kind)
{
	switch (kind) {
	case WAY_ISOMER:
		return "#0060ad";
	case WAY_REFERENCE:
		return "#c04000";
	case WAY_REDIRECT:
	case WAY_DNAT:
	case WAY_TPROXY:
		return "#c0a000";
	default:
		return "#a0a0a0";
	}
}

void report_bars(FILE *gnuplot, const struct samples *s, const char *thing)
{
	struct plot_bar bars[WAYS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < n_ways; i++)
		if (s->ways[i].n)
			bars[n++] = (struct plot_bar){
				.name = ways[i].name,
				.colour = colour(ways[i].kind),
				.q = series_ratio(series_of(s, WAY_ANYIP), &s->ways[i]),
			};
	plot_bars(gnuplot, thing, "to an AnyIP route and a wildcard listener", bars, n);
}
