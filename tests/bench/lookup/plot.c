/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/lookup/plot.h"

#include <stdio.h>
#include <string.h>

#include "bench/figures.h"

#define COLUMNS 2
#define ROWS    4

void plot_add(struct plot *plot, const char *mix, bool cold, size_t bindings, double reference,
	      double ours)
{
	if (plot->n < PLOT_POINTS)
		plot->point[plot->n++] =
			(struct plot_point){ mix, cold, bindings, reference, ours };
}

static void write_points(FILE *out, const struct plot *plot, const char *mix, bool cold, bool ours)
{
	for (size_t i = 0; i < plot->n; i++) {
		const struct plot_point *p = &plot->point[i];

		if (!strcmp(p->mix, mix) && p->cold == cold)
			fprintf(out, "%zu %.1f\n", p->bindings, ours ? p->ours : p->reference);
	}
	fprintf(out, "e\n");
}

static void write_mix(FILE *out, const struct plot *plot, const char *mix)
{
	static const char *const titles[] = { "reference, cold", "isomer, cold", "reference, warm",
					      "isomer, warm" };

	fprintf(out, "set title '%s'\nplot ", mix);
	for (int i = 0; i < 4; i++)
		fprintf(out, "%s'-' using 1:2 with linespoints lc rgb '%s' dt %d title '%s'",
			i ? ", " : "", i % 2 ? "#0060ad" : "#c04000", 1 + i / 2, titles[i]);
	fprintf(out, "\n");
	for (int i = 0; i < 4; i++)
		write_points(out, plot, mix, i < 2, i % 2);
}

void plot_write(const struct plot *plot, const char *path)
{
	FILE *out = popen("gnuplot", "we");

	if (!out)
		figures_give_up("gnuplot");
	fprintf(out,
		"set terminal svg size 900,1200 background rgb 'white'\nset output '%s'\n"
		"set multiplot layout %d,%d\nset logscale xy\nset key left top\n"
		"set xlabel 'bindings'\nset ylabel 'ns beyond the empty program'\n",
		path, ROWS, COLUMNS);
	for (size_t i = 0; i < plot->n; i++)
		if (i == 0 || strcmp(plot->point[i].mix, plot->point[i - 1].mix) != 0)
			write_mix(out, plot, plot->point[i].mix);
	if (pclose(out) != 0)
		figures_give_up("gnuplot");
}
