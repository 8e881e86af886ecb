/* SPDX-License-Identifier: BSD-3-Clause */
/* What the fuzz targets share. A target is a function from bytes to checks; libFuzzer makes the
 * bytes, and a check that does not hold, or a sanitizer's finding, ends it with the input kept.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Not assert(), which release builds leave out. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__,          \
				#condition);                                                       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** The bytes as a string, up to a NUL among them, in memory of exactly that size, so that a
 * sanitizer sees whoever reads on. The caller's to free. */
static inline char *fuzz_string(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	CHECK(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

/** Sets a variable of the environment, NULL: unsets it. @held: what is there of it, NULL at first.
 * setenv() never gives back a value, of which an hour has gigabytes. */
static inline void fuzz_setenv(char **held, const char *name, const char *value)
{
	size_t size = strlen(name) + (value ? strlen(value) : 0) + 2;
	char *text = value ? malloc(size) : NULL;

	if (value) {
		CHECK(text);
		snprintf(text, size, "%s=%s", name, value);
		CHECK(putenv(text) == 0);
	} else {
		CHECK(unsetenv(name) == 0);
	}
	free(*held);
	*held = text;
}

/* Bytes that are taken from the front. */
struct fuzz_input {
	const uint8_t *data;
	size_t size;
};

/** The next byte; 0 when there is none left. */
static inline uint8_t fuzz_byte(struct fuzz_input *in)
{
	if (in->size == 0)
		return 0;
	in->size--;
	return *in->data++;
}
