/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/traffic/samples.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/cleanup.h"

static void add(struct samples *s, const double *values)
{
	for (size_t i = 0; i < n_ways; i++)
		if (!isnan(values[i]))
			series_add(&s->ways[i], values[i]);
	s->rounds++;
}

static void print_heading(const struct samples *s, FILE *out)
{
	for (size_t i = 0; i < n_ways; i++)
		if (ways[i].bindings <= s->bindings)
			fprintf(out, "%s%s", i ? "; " : "", ways[i].name);
	fprintf(out, "\n");
}

static _Noreturn void refuse(const char *path)
{
	fprintf(stderr, "%s is not of such a run: remove it to begin anew\n", path);
	exit(EXIT_FAILURE);
}

static void check_heading(const struct samples *s, const char *path, const char *line)
{
	CLEANUP_FREE char *heading = NULL;
	size_t size;
	FILE *out = open_memstream(&heading, &size);

	if (!out)
		figures_give_up("memory");
	print_heading(s, out);
	fclose(out);
	if (strcmp(line, heading) != 0)
		refuse(path);
}

/* A round of the other protocol is passed by. */
static void read_round(struct samples *s, const char *path, char *line)
{
	double values[WAYS_MAX];
	char *at = line + strlen(s->protocol);

	if (strncmp(line, s->protocol, strlen(s->protocol)) != 0)
		return;
	for (size_t i = 0; i < n_ways; i++) {
		char *end;

		values[i] = strtod(at, &end);
		if (end == at)
			refuse(path);
		at = end;
	}
	add(s, values);
}

void samples_read(struct samples *s, const char *path)
{
	FILE *file = fopen(path, "re");
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;

	if (!file && errno == ENOENT) {
		file = fopen(path, "we");
		if (file)
			print_heading(s, file);
		if (!file || fclose(file) != 0)
			figures_give_up(path);
		return;
	}
	if (!file || getline(&line, &size, file) < 0)
		figures_give_up(path);
	check_heading(s, path, line);
	while (getline(&line, &size, file) > 0)
		read_round(s, path, line);
	fclose(file);
}

void samples_add(struct samples *s, const char *path, const double *values)
{
	FILE *file = path ? fopen(path, "ae") : NULL;

	add(s, values);
	if (!path)
		return;
	if (!file)
		figures_give_up(path);
	fprintf(file, "%s", s->protocol);
	for (size_t i = 0; i < n_ways; i++)
		fprintf(file, " %.1f", values[i]);
	fprintf(file, "\n");
	if (fclose(file) != 0)
		figures_give_up(path);
}
