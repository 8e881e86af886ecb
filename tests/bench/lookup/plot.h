/* SPDX-License-Identifier: BSD-3-Clause */
/* A plot of costs by the number of bindings, one for each mix, drawn by gnuplot. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define PLOT_POINTS 128

struct plot {
	struct plot_point {
		const char *mix;
		bool cold;
		size_t bindings;
		double reference, ours; /* ns */
	} point[PLOT_POINTS];
	size_t n;
};

/** Points of one mix have to come one after the other. */
void plot_add(struct plot *plot, const char *mix, bool cold, size_t bindings, double reference,
	      double ours);

/** Writes an SVG file. */
void plot_write(const struct plot *plot, const char *path);
