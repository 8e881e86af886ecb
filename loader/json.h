/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON to stdout, written as it is made: one document for people and programs alike. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct json; /* opaque */

/** Begins a document that is an object. NULL without memory. */
struct json *json_new(void);

/** Ends the document and frees it. Returns 0, -ENOMEM, or -EINVAL when a text was not UTF-8. */
int json_end(struct json *j);
void json_freep(struct json **j); /* without ending it */

/* Members of the object that is open; in an array @key is NULL. */
void json_object(struct json *j, const char *key);
void json_array(struct json *j, const char *key);
void json_close_object(struct json *j);
void json_close_array(struct json *j);
void json_text(struct json *j, const char *key, const char *value); /* NULL: null */
void json_number(struct json *j, const char *key, uint64_t value);
void json_real(struct json *j, const char *key, double value); /* one decimal */
void json_boolean(struct json *j, const char *key, bool value);
