/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/table.h"

#include <stdio.h>
#include <string.h>

void table_text(char ret[TABLE_CELL_SIZE], const char *text)
{
	snprintf(ret, TABLE_CELL_SIZE, "%s", text);
}

void table_write(const struct table *t, FILE *out)
{
	int width[TABLE_COLUMNS_MAX];
	char text[TABLE_CELL_SIZE];

	for (size_t column = 0; column < t->columns; column++) {
		width[column] = (int)strlen(t->headings[column]);
		for (size_t row = 0; row < t->rows; row++) {
			t->cell(row, column, t->arg, text);
			if ((int)strlen(text) > width[column])
				width[column] = (int)strlen(text);
		}
	}

	for (size_t column = 0; column < t->columns; column++)
		fprintf(out, " %*s", width[column], t->headings[column]);
	fputc('\n', out);
	for (size_t row = 0; row < t->rows; row++) {
		for (size_t column = 0; column < t->columns; column++) {
			t->cell(row, column, t->arg, text);
			fprintf(out, " %*s", width[column], text);
		}
		fputc('\n', out);
	}
}

void table_print(const struct table *t)
{
	table_write(t, stdout);
}
