/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/plot.h"

#include <stdlib.h>

#define COLUMNS 2
#define WIDTH   480
#define HEIGHT  340

void curve_add(struct plot_curve *c, double x, double y)
{
	if (c->n == CURVE_POINTS)
		return;
	c->x[c->n] = x;
	c->y[c->n++] = y;
}

void plot_need(void)
{
	FILE *gnuplot = popen("gnuplot --version >/dev/null", "we");

	if (gnuplot && pclose(gnuplot) == 0)
		return;
	fprintf(stderr, "there is no gnuplot for the plot: apt-get install gnuplot-nox\n");
	exit(EXIT_FAILURE);
}

FILE *plot_begin(const char *path, unsigned int panels)
{
	FILE *gnuplot = popen("gnuplot", "we");
	unsigned int rows = (panels + COLUMNS - 1) / COLUMNS;

	if (!gnuplot)
		figures_give_up("gnuplot");
	fprintf(gnuplot,
		"set terminal svg size %d,%u background rgb 'white' font 'sans-serif,11'\n"
		"set encoding utf8\nset output '%s'\nset multiplot layout %u,%d\nset grid\nset rmargin 6\n",
		COLUMNS * WIDTH, rows * HEIGHT, path, rows, COLUMNS);
	return gnuplot;
}

void plot_end(FILE *gnuplot)
{
	fprintf(gnuplot, "unset multiplot\n");
	if (pclose(gnuplot) != 0)
		figures_give_up("gnuplot");
}

/* "opaque" for drawing the key by itself: some programs join its dashes to the curve's. */
void plot_curves(FILE *gnuplot, const char *title, const char *x_label, const char *y_label,
		 const struct plot_curve *curves, size_t n)
{
	const char *separator = "";

	fprintf(gnuplot,
		"set title '%s'\nset xlabel '%s' offset 0,0.5\nset ylabel '%s'\nset logscale xy\n"
		"set xtics ('1' 1, '10' 10, '100' 100, '1,000' 1e3, '10,000' 1e4, '100,000' 1e5, "
		"'1,000,000' 1e6)\nset bmargin 6\nset key at graph 1,-0.24 maxrows 2 samplen 2 opaque\nplot ",
		title, x_label, y_label);
	for (size_t i = 0; i < n; i++) {
		if (curves[i].n == 0)
			continue;
		fprintf(gnuplot, "%s'-' with linespoints lc rgb '%s' dt %u pt 7 ps 0.4 title '%s'",
			separator, curves[i].colour, curves[i].dash, curves[i].name);
		separator = ", ";
	}
	fprintf(gnuplot, "\n");
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < curves[i].n; j++)
			fprintf(gnuplot, "%g %g\n", curves[i].x[j], curves[i].y[j]);
		if (curves[i].n)
			fprintf(gnuplot, "e\n");
	}
}

void plot_bars(FILE *gnuplot, const char *title, const char *label, const struct plot_bar *bars,
	       size_t n)
{
	fprintf(gnuplot,
		"unset logscale\nunset key\nset grid noytics\nset title '%s'\nset xlabel '%s'\nunset ylabel\n"
		"set yrange [%zu.5:-0.5]\nset xrange [0:*]\nset style fill solid\nset ytics (",
		title, label, n - 1);
	for (size_t i = 0; i < n; i++)
		fprintf(gnuplot, "%s\"%s\" %zu", i ? ", " : "", bars[i].name, i);
	fprintf(gnuplot, ")\nplot ");
	for (size_t i = 0; i < n; i++)
		fprintf(gnuplot,
			"'-' using 1:2:(0):1:($2-0.35):($2+0.35) with boxxyerror lc rgb '%s', ",
			bars[i].colour);
	fprintf(gnuplot, "'-' using 1:2:3:4 with xerrorbars lc rgb 'black' pt 0\n");
	for (size_t i = 0; i < n; i++)
		fprintf(gnuplot, "%g %zu\ne\n", bars[i].q.median, i);
	for (size_t i = 0; i < n; i++)
		fprintf(gnuplot, "%g %zu %g %g\n", bars[i].q.median, i, bars[i].q.low,
			bars[i].q.high);
	fprintf(gnuplot, "e\n");
}
