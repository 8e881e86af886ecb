/* SPDX-License-Identifier: BSD-3-Clause */
/* The tables of docs/servers.md: what they say is what the tests run.
 *
 * A row is "| server | `command` | … | `test` |". Of a cell counts what stands between its first
 * two backticks.
 */
#pragma once

#include <stddef.h>

struct CMUnitTest;

struct service_row {
	char command[256];
	char test[128];
};

/** The row that names @test, in the table below the heading @heading. Fails the test when there is
 * none. */
void service_row(const char *heading, const char *test, struct service_row *ret);

/** Fails the test unless each row below @heading names one of the @n @tests, once, and each of
 * these but @except has a row. */
void service_rows_match(const char *heading, const struct CMUnitTest *tests, size_t n,
			const char *except);
