/* SPDX-License-Identifier: BSD-3-Clause */
/* Pictures of what was measured, drawn by gnuplot as SVG. A call that fails ends the program. */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include "bench/figures.h"

#define CURVE_POINTS 16

/** How something grows. */
struct plot_curve {
	const char *name, *colour; /* "#rrggbb" */
	unsigned int dash;         /* 1: a whole line */
	size_t n;
	double x[CURVE_POINTS], y[CURVE_POINTS];
};

void curve_add(struct plot_curve *c, double x, double y);

/** Ends the program now where there is no gnuplot, and says how to get it. */
void plot_need(void);

/** @panels: side by side in pairs. Returns where the panels are written to. */
FILE *plot_begin(const char *path, unsigned int panels);
void plot_end(FILE *gnuplot);

/** A panel with both axes logarithmic. Curves without points are left out. */
void plot_curves(FILE *gnuplot, const char *title, const char *x_label, const char *y_label,
		 const struct plot_curve *curves, size_t n);

/** One thing beside others, with what half of the rounds were between. */
struct plot_bar {
	const char *name, *colour;
	struct quartiles q;
};

/** A panel of bars, the first on top. */
void plot_bars(FILE *gnuplot, const char *title, const char *label, const struct plot_bar *bars,
	       size_t n);
