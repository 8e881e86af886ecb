/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables for people: columns aligned to the right, one space between them. */
#pragma once

#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 8
#define TABLE_CELL_SIZE   512 /* a label, the longest text of a cell, fits */

struct table {
	size_t columns, rows;
	const char *headings[TABLE_COLUMNS_MAX];
	/* Writes the text of a cell. It is asked for twice, so that nothing has to be kept: once
	 * for the width, once to print. */
	void (*cell)(size_t row, size_t column, const void *arg, char ret[TABLE_CELL_SIZE]);
	const void *arg;
};

/** Writes @text into a cell. */
void table_text(char ret[TABLE_CELL_SIZE], const char *text);

/** Prints it; errors stay with the stream. */
void table_write(const struct table *t, FILE *out);

/** The same, to stdout. */
void table_print(const struct table *t);
