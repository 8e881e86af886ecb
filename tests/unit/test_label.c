/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <isomer/abi.h>

#include "state/label.h"

#define LEN(array) (sizeof(array) / sizeof(*(array)))

#define UNTOUCHED "untouched"

/* Labels without a dot are their own names. */
static const char *const plain[] = { "a", "Z", "0", "_", "@", ":", "+", "--", "-a", "a-", "foo" };

/* What is given on the heap, without a byte behind it, shows a sanitizer who reads too far. */
static char *repeated(const char *text, size_t times, const char *behind)
{
	size_t len = strlen(text);
	char *label = malloc(times * len + strlen(behind) + 1);

	assert_non_null(label);
	for (size_t i = 0; i < times; i++)
		memcpy(label + i * len, text, len);
	memcpy(label + times * len, behind, strlen(behind) + 1);
	return label;
}

static int check_repeated(const char *text, size_t times, const char *behind)
{
	char *label = repeated(text, times, behind);
	int r = isomer_label_check(label);

	free(label);
	return r;
}

static bool is_allowed(int byte)
{
	return byte &&
	       strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@:+-", byte);
}

static void labels_are_made_of_the_documented_bytes(void **state)
{
	(void)state;
	for (int byte = 1; byte < 256; byte++) {
		char alone[] = { (char)byte, '\0' }, within[] = { 'a', (char)byte, 'b', '\0' };
		int expected = is_allowed(byte) ? 0 : -EINVAL;

		assert_int_equal(isomer_label_check(within), expected);
		if (byte != '-')
			assert_int_equal(isomer_label_check(alone), expected);
	}
}

static void dash_alone_and_nothing_are_no_labels(void **state)
{
	(void)state;
	assert_int_equal(isomer_label_check("-"), -EINVAL);
	assert_int_equal(isomer_label_check(""), -EINVAL);
	for (size_t i = 0; i < LEN(plain); i++)
		assert_int_equal(isomer_label_check(plain[i]), 0);
}

static void labels_have_up_to_255_bytes(void **state)
{
	(void)state;
	assert_int_equal(check_repeated("a", 254, ""), 0);
	assert_int_equal(check_repeated("a", 255, ""), 0);
	assert_int_equal(check_repeated("a", 256, ""), -ENAMETOOLONG);
	assert_int_equal(check_repeated("a", 100000, ""), -ENAMETOOLONG);
	assert_int_equal(check_repeated("a", 254, " "), -EINVAL);
}

/* A dot takes three bytes of the file name. */
static void file_names_have_up_to_255_bytes(void **state)
{
	(void)state;
	assert_int_equal(check_repeated(".", 85, ""), 0);
	assert_int_equal(check_repeated(".", 86, ""), -ENAMETOOLONG);
	assert_int_equal(check_repeated(".", 84, "abc"), 0);
	assert_int_equal(check_repeated(".", 84, "abcd"), -ENAMETOOLONG);
	assert_int_equal(check_repeated("a", 252, "."), 0);
	assert_int_equal(check_repeated("a", 253, "."), -ENAMETOOLONG);
}

static void dots_are_escaped_in_file_names(void **state)
{
	static const struct {
		const char *label, *name;
	} pairs[] = {
		{ ".", "%2E" },       { "..", "%2E%2E" },
		{ "a.b", "a%2Eb" },   { ".hidden", "%2Ehidden" },
		{ "end.", "end%2E" }, { "www.example.org:80", "www%2Eexample%2Eorg:80" },
		{ "2E", "2E" },
	};
	char name[ISOMER_LABEL_NAME_SIZE], label[ISOMER_LABEL_NAME_SIZE];

	(void)state;
	for (size_t i = 0; i < LEN(pairs); i++) {
		assert_int_equal(isomer_label_to_name(pairs[i].label, name), 0);
		assert_string_equal(name, pairs[i].name);
		assert_int_equal(isomer_label_from_name(name, label), 0);
		assert_string_equal(label, pairs[i].label);
	}
	for (size_t i = 0; i < LEN(plain); i++) {
		assert_int_equal(isomer_label_to_name(plain[i], name), 0);
		assert_string_equal(name, plain[i]);
	}
}

static void longest_names_fit(void **state)
{
	char name[ISOMER_LABEL_NAME_SIZE], label[ISOMER_LABEL_NAME_SIZE];
	char *dots = repeated(".", 85, ""), *letters = repeated("x", 255, "");

	(void)state;
	assert_int_equal(isomer_label_to_name(dots, name), 0);
	assert_int_equal(strlen(name), 255);
	assert_int_equal(isomer_label_from_name(name, label), 0);
	assert_string_equal(label, dots);
	assert_int_equal(isomer_label_to_name(letters, name), 0);
	assert_string_equal(name, letters);
	assert_int_equal(isomer_label_from_name(name, label), 0);
	assert_string_equal(label, letters);
	free(dots);
	free(letters);
}

static void what_is_no_label_has_no_name(void **state)
{
	char name[ISOMER_LABEL_NAME_SIZE] = UNTOUCHED;
	char *dots = repeated(".", 86, "");

	(void)state;
	assert_int_equal(isomer_label_to_name("", name), -EINVAL);
	assert_int_equal(isomer_label_to_name("-", name), -EINVAL);
	assert_int_equal(isomer_label_to_name("a/b", name), -EINVAL);
	assert_int_equal(isomer_label_to_name("a%2Eb", name), -EINVAL);
	assert_int_equal(isomer_label_to_name(dots, name), -ENAMETOOLONG);
	assert_string_equal(name, UNTOUCHED);
	free(dots);
}

static void names_that_nobody_writes_are_no_labels(void **state)
{
	static const char *const names[] = { "",     ".",   "..",       "a.b",  "maps.debug",
					     "-",    "a/b", "a b",      "%",    "%2",
					     "%2e",  "%41", "a%",       "%%2E", "%2F",
					     "a\nb", "%25", "\xc3\xa4", "%2E.", "%2 E" };
	char label[ISOMER_LABEL_NAME_SIZE] = UNTOUCHED;
	char *longest = repeated("a", 256, ""), *escapes = repeated("%2E", 86, "");

	(void)state;
	for (size_t i = 0; i < LEN(names); i++)
		assert_int_equal(isomer_label_from_name(names[i], label), -EINVAL);
	assert_int_equal(isomer_label_from_name(longest, label), -EINVAL);
	assert_int_equal(isomer_label_from_name(escapes, label), -EINVAL);
	assert_string_equal(label, UNTOUCHED);
	free(longest);
	free(escapes);
}

/* All texts of up to six of the bytes that matter: each is the name of one label or of none. */
static void every_name_is_of_one_label(void **state)
{
	static const char bytes[] = "%2E.-ea";
	const unsigned base = sizeof(bytes) - 1;
	unsigned long total = 1, labels = 0;

	(void)state;
	for (unsigned len = 1; len <= 6; len++) {
		total *= base;
		for (unsigned long n = 0; n < total; n++) {
			char text[8] = "", label[ISOMER_LABEL_NAME_SIZE];
			char again[ISOMER_LABEL_NAME_SIZE];
			unsigned long rest = n;

			for (unsigned i = 0; i < len; i++, rest /= base)
				text[i] = bytes[rest % base];
			if (isomer_label_from_name(text, label) < 0)
				continue;
			labels++;
			assert_int_equal(isomer_label_to_name(label, again), 0);
			assert_string_equal(again, text);
		}
	}
	assert_true(labels > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels_are_made_of_the_documented_bytes),
		cmocka_unit_test(dash_alone_and_nothing_are_no_labels),
		cmocka_unit_test(labels_have_up_to_255_bytes),
		cmocka_unit_test(file_names_have_up_to_255_bytes),
		cmocka_unit_test(dots_are_escaped_in_file_names),
		cmocka_unit_test(longest_names_fit),
		cmocka_unit_test(what_is_no_label_has_no_name),
		cmocka_unit_test(names_that_nobody_writes_are_no_labels),
		cmocka_unit_test(every_name_is_of_one_label),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
