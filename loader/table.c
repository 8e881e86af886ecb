/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A label, the longest text of a cell, fits. */
#define CELL_SIZE 512

struct table {
	size_t columns, cells, room;
	char **cell;
	bool failed;
};

struct table *table_new(const char *heading, ...)
{
	struct table *t = calloc(1, sizeof(*t));
	va_list args;

	if (!t)
		return NULL;
	va_start(args, heading);
	for (; heading; heading = va_arg(args, const char *)) {
		table_cell(t, heading);
		t->columns++;
	}
	va_end(args);
	return t;
}

void table_cell(struct table *t, const char *text)
{
	char **grown = t->cell;

	if (t->cells == t->room) {
		size_t room = t->room ? 2 * t->room : 64;

		grown = reallocarray(t->cell, room, sizeof(*grown));
		if (grown) {
			t->cell = grown;
			t->room = room;
		}
	}
	if (!grown || !(t->cell[t->cells] = strdup(text)))
		t->failed = true;
	else
		t->cells++;
}

void table_cellf(struct table *t, const char *format, ...)
{
	char text[CELL_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	table_cell(t, text);
}

int table_print(const struct table *t)
{
	size_t *width = calloc(t->columns, sizeof(*width));

	if (t->failed || !width) {
		free(width);
		return -ENOMEM;
	}
	for (size_t i = 0; i < t->cells; i++)
		if (strlen(t->cell[i]) > width[i % t->columns])
			width[i % t->columns] = strlen(t->cell[i]);
	for (size_t i = 0; i < t->cells; i++)
		printf(" %*s%s", (int)width[i % t->columns], t->cell[i],
		       i % t->columns == t->columns - 1 ? "\n" : "");
	free(width);
	return 0;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->cells; i++)
		free(t->cell[i]);
	free(t->cell);
	free(t);
}

void table_freep(struct table **t)
{
	table_free(*t);
}
