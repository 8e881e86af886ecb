/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_gen.h>

/* yajl uses what it is given without a look, so it is given what is there already. It takes some
 * hundred bytes at its beginning, and no more for printing. */
#define MEMORY 2048

struct json {
	yajl_gen gen;
	yajl_gen_status status; /* the first that was not good */
	size_t used;
	_Alignas(max_align_t) char memory[MEMORY];
};

static void *allocate(void *arg, size_t size)
{
	struct json *j = arg;
	void *p = j->memory + j->used;

	j->used +=
		(size + _Alignof(max_align_t) - 1) / _Alignof(max_align_t) * _Alignof(max_align_t);
	return j->used <= MEMORY ? p : NULL;
}

static void *reallocate(void *arg, void *old, size_t size)
{
	(void)old; /* nothing is in it yet */
	return allocate(arg, size);
}

static void release(void *arg, void *p)
{
	(void)arg;
	(void)p;
}

static void print(void *arg, const char *text, size_t len)
{
	(void)arg;
	fwrite(text, 1, len, stdout); /* errors stay with the stream: command_finish() */
}

static void keep(struct json *j, yajl_gen_status status)
{
	if (j->status == yajl_gen_status_ok)
		j->status = status;
}

static void string(struct json *j, const char *text)
{
	keep(j, yajl_gen_string(j->gen, (const unsigned char *)text, strlen(text)));
}

struct json *json_new(void)
{
	struct json *j = calloc(1, sizeof(*j));
	yajl_alloc_funcs memory = { allocate, reallocate, release, j };

	if (!j)
		return NULL;
	j->gen = yajl_gen_alloc(&memory);
	if (!j->gen) {
		free(j);
		return NULL;
	}
	yajl_gen_config(j->gen, yajl_gen_beautify, 1);
	yajl_gen_config(j->gen, yajl_gen_validate_utf8, 1);
	yajl_gen_config(j->gen, yajl_gen_print_callback, print, NULL);
	keep(j, yajl_gen_map_open(j->gen));
	return j;
}

void json_freep(struct json **j)
{
	if (!*j)
		return;
	yajl_gen_free((*j)->gen);
	free(*j);
}

int json_end(struct json *j)
{
	int r;

	keep(j, yajl_gen_map_close(j->gen));
	r = j->status == yajl_gen_status_ok        ? 0
	    : j->status == yajl_gen_invalid_string ? -EINVAL
						   : -ENOMEM;
	json_freep(&j);
	return r;
}

static void key_of(struct json *j, const char *key)
{
	if (key)
		string(j, key);
}

void json_object(struct json *j, const char *key)
{
	key_of(j, key);
	keep(j, yajl_gen_map_open(j->gen));
}

void json_array(struct json *j, const char *key)
{
	key_of(j, key);
	keep(j, yajl_gen_array_open(j->gen));
}

void json_close_object(struct json *j)
{
	keep(j, yajl_gen_map_close(j->gen));
}

void json_close_array(struct json *j)
{
	keep(j, yajl_gen_array_close(j->gen));
}

void json_text(struct json *j, const char *key, const char *value)
{
	key_of(j, key);
	if (value)
		string(j, value);
	else
		keep(j, yajl_gen_null(j->gen));
}

void json_number(struct json *j, const char *key, uint64_t value)
{
	char text[24];

	key_of(j, key);
	snprintf(text, sizeof(text), "%" PRIu64, value);
	keep(j, yajl_gen_number(j->gen, text, strlen(text)));
}

void json_real(struct json *j, const char *key, double value)
{
	char text[64];

	key_of(j, key);
	snprintf(text, sizeof(text), "%.1f", value);
	keep(j, yajl_gen_number(j->gen, text, strlen(text)));
}

void json_boolean(struct json *j, const char *key, bool value)
{
	key_of(j, key);
	keep(j, yajl_gen_bool(j->gen, value));
}
