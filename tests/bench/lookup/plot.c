/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/lookup/plot.h"

#include <stdio.h>
#include <string.h>

#include "bench/plot.h"

void plot_add(struct plot *plot, const char *mix, bool cold, size_t bindings, double reference,
	      double ours)
{
	if (plot->n < PLOT_POINTS)
		plot->point[plot->n++] =
			(struct plot_point){ mix, cold, bindings, reference, ours };
}

static void write_mix(FILE *gnuplot, const struct plot *plot, const char *mix)
{
	struct plot_curve curves[] = {
		{ "reference, cold", "#c04000", 1, .n = 0 },
		{ "isomer, cold", "#0060ad", 1, .n = 0 },
		{ "reference, warm", "#c04000", 2, .n = 0 },
		{ "isomer, warm", "#0060ad", 2, .n = 0 },
	};

	for (size_t i = 0; i < plot->n; i++) {
		const struct plot_point *p = &plot->point[i];
		struct plot_curve *pair = &curves[p->cold ? 0 : 2];

		if (strcmp(p->mix, mix) != 0)
			continue;
		curve_add(&pair[0], (double)p->bindings, p->reference);
		curve_add(&pair[1], (double)p->bindings, p->ours);
	}
	plot_curves(gnuplot, mix, "bindings", "ns beyond the empty program", curves, 4);
}

static bool begins_a_mix(const struct plot *plot, size_t i)
{
	return i == 0 || strcmp(plot->point[i].mix, plot->point[i - 1].mix) != 0;
}

void plot_write(const struct plot *plot, const char *path)
{
	unsigned int mixes = 0;
	FILE *gnuplot;

	for (size_t i = 0; i < plot->n; i++)
		mixes += begins_a_mix(plot, i);
	gnuplot = plot_begin(path, mixes);
	for (size_t i = 0; i < plot->n; i++)
		if (begins_a_mix(plot, i))
			write_mix(gnuplot, plot, plot->point[i].mix);
	plot_end(gnuplot);
}
