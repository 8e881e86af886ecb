/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "integration/service_table.h"
#include "state/cleanup.h"

#define ROWS_MAX  64
#define CELLS_MAX 8

struct table {
	struct service_row rows[ROWS_MAX];
	size_t n;
};

/* What stands between backticks; empty when nothing does. */
static void quoted(const char *cell, char *ret, size_t size)
{
	const char *start = cell ? strchr(cell, '`') : NULL, *end;

	end = start ? strchr(start + 1, '`') : NULL;
	snprintf(ret, size, "%.*s", end ? (int)(end - start - 1) : 0, end ? start + 1 : "");
}

/* False: not a row of a table, or its head. */
static bool parse_row(char *line, struct service_row *ret)
{
	char *cells[CELLS_MAX] = { 0 }, *rest = line;
	size_t n = 0;

	if (line[0] != '|')
		return false;
	while (n < CELLS_MAX && rest)
		cells[n++] = strsep(&rest, "|");
	if (n < 5) /* with the empty ones before the first and behind the last bar */
		return false;
	quoted(cells[2], ret->command, sizeof(ret->command));
	quoted(cells[n - 2], ret->test, sizeof(ret->test));
	return ret->test[0] != '\0';
}

static void read_table(const char *heading, struct table *ret)
{
	FILE *f = fopen(ISOMER_SERVERS_DOCUMENT, "re");
	char line[2048];
	bool here = false;

	assert_non_null(f);
	ret->n = 0;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#')
			here = strcmp(line + strspn(line, "# "), heading) == 0;
		if (!here || !parse_row(line, &ret->rows[ret->n]))
			continue;
		ret->n++;
		assert_in_range(ret->n, 1, ROWS_MAX - 1);
	}
	fclose(f);
	assert_int_not_equal(ret->n, 0);
}

static unsigned count_rows(const struct table *t, const char *test)
{
	unsigned n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += strcmp(t->rows[i].test, test) == 0;
	return n;
}

void service_row(const char *heading, const char *test, struct service_row *ret)
{
	struct table t;

	read_table(heading, &t);
	for (size_t i = 0; i < t.n; i++) {
		if (strcmp(t.rows[i].test, test) == 0) {
			*ret = t.rows[i];
			return;
		}
	}
	fail_msg("docs/servers.md: no row of '%s' names %s", heading, test);
}

void service_rows_match(const char *heading, const struct CMUnitTest *tests, size_t n,
			const char *except)
{
	struct table t;

	read_table(heading, &t);
	for (size_t i = 0; i < n; i++)
		if (strcmp(tests[i].name, except) != 0 && count_rows(&t, tests[i].name) != 1)
			fail_msg("docs/servers.md: %u rows of '%s' name %s",
				 count_rows(&t, tests[i].name), heading, tests[i].name);
	for (size_t i = 0; i < t.n; i++) {
		size_t j = 0;

		while (j < n && strcmp(tests[j].name, t.rows[i].test) != 0)
			j++;
		if (j == n)
			fail_msg("docs/servers.md: there is no test %s", t.rows[i].test);
	}
}
