/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "loader/activity.h"

static struct activity_label counted(const char *name, uint64_t lookups, uint64_t misses)
{
	struct activity_label label = {
		.counts = { [ACTIVITY_LOOKUPS] = lookups, [ACTIVITY_MISSES] = misses },
	};

	memcpy(label.name, name, strlen(name));
	return label;
}

static void rates_are_those_of_a_second(void **state)
{
	struct activity_label before[] = { counted("web", 100, 10) };
	struct activity_label now[] = { counted("web", 110, 12) };
	struct activity then = { .time = 7, .labels = before, .n = 1 };
	struct activity a = { .time = 11, .labels = now, .n = 1 };

	(void)state;
	activity_compare(&a, &then);
	assert_true(now[0].rates[ACTIVITY_LOOKUPS] == 2.5);
	assert_true(now[0].rates[ACTIVITY_MISSES] == 0.5);
	assert_true(now[0].rates[ACTIVITY_ERRORS] == 0);
}

/* A label that has gone and come again in between has fewer than before. */
static void counts_of_new_labels_begin_at_0(void **state)
{
	struct activity_label before[] = { counted("again", 100, 0) };
	struct activity_label now[] = { counted("again", 20, 0), counted("fresh", 10, 0) };
	struct activity then = { .time = 0, .labels = before, .n = 1 };
	struct activity a = { .time = 2, .labels = now, .n = 2 };

	(void)state;
	activity_compare(&a, &then);
	assert_true(now[0].rates[ACTIVITY_LOOKUPS] == 10);
	assert_true(now[1].rates[ACTIVITY_LOOKUPS] == 5);
}

static void the_busiest_label_comes_first(void **state)
{
	struct activity_label now[] = { counted("idle", 0, 0), counted("busy", 9, 0),
					counted("missed", 5, 2), counted("served", 5, 0),
					counted("calm", 0, 0) };
	static const char *const sorted[] = { "busy", "missed", "served", "calm", "idle" };
	struct activity none = ACTIVITY_NONE;
	struct activity a = { .time = 1, .labels = now, .n = 5 };

	(void)state;
	activity_compare(&a, &none);
	for (size_t i = 0; i < a.n; i++)
		assert_string_equal(a.labels[i].name, sorted[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates_are_those_of_a_second),
		cmocka_unit_test(counts_of_new_labels_begin_at_0),
		cmocka_unit_test(the_busiest_label_comes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
