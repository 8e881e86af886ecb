/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables for people: columns aligned to the right, one space between them. */
#pragma once

#include <stddef.h>

struct table; /* opaque */

/** A table with the headings up to a NULL. NULL without memory. */
struct table *table_new(const char *heading, ...) __attribute__((sentinel));

/** Adds one cell; a row is full after as many as there are headings. Copies @text. A lack of
 * memory is kept and reported by table_print(). */
void table_cell(struct table *t, const char *text);
void table_cellf(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Prints it to stdout. Returns 0 or -ENOMEM. */
int table_print(const struct table *t);

void table_free(struct table *t);
void table_freep(struct table **t);
