/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/bindings_file.h"

#include <errno.h>
#include <netinet/in.h>
#include <search.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yajl/yajl_parse.h>

#include "loader/progress.h"
#include "state/cleanup.h"
#include "state/label.h"
#include "state/parse.h"

#define CHUNK 65536

/* Where in the document the parser is. */
enum place {
	PLACE_START,
	PLACE_DOCUMENT, /* in the outer object, before "bindings" */
	PLACE_KEY,      /* behind "bindings" */
	PLACE_LIST,
	PLACE_ENTRY,
	PLACE_VALUE, /* behind a key of an entry */
	PLACE_DOCUMENT_END,
	PLACE_END,
};

enum field { FIELD_LABEL, FIELD_PREFIX, FIELD_PORT, FIELD_PROTOCOL, FIELD_MISS, FIELDS };

static const char *const field_names[FIELDS] = {
	[FIELD_LABEL] = "label",       [FIELD_PREFIX] = "prefix", [FIELD_PORT] = "port",
	[FIELD_PROTOCOL] = "protocol", [FIELD_MISS] = "miss",
};

struct reader {
	enum place place;
	struct bindings_file *file;
	size_t room, labels_room;
	void *label_tree; /* of struct known_label, by name */

	/* The entry that is being read; counted from 1. */
	size_t entry;
	enum field field;
	bool seen[FIELDS];
	struct isomer_binding binding; /* protocol 0: both */

	int r; /* why reading ended early */
	char *error;
	jmp_buf no_memory;
};

struct known_label {
	char *name;
	uint32_t index;
};

/* Ends the parse: yajl stops when a callback returns 0. */
static int refuse(struct reader *rd, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(struct reader *rd, const char *format, ...)
{
	size_t used = 0;
	va_list args;

	if (rd->entry)
		used = (size_t)snprintf(rd->error, BINDINGS_FILE_ERROR_SIZE,
					"entry %zu: ", rd->entry);
	va_start(args, format);
	vsnprintf(rd->error + used, BINDINGS_FILE_ERROR_SIZE - used, format, args);
	va_end(args);
	rd->r = -EINVAL;
	return 0;
}

static int fail(struct reader *rd, int r)
{
	rd->r = r;
	return 0;
}

/* ---- values of an entry ---- */

static int compare_known(const void *a, const void *b)
{
	return strcmp(((const struct known_label *)a)->name, ((const struct known_label *)b)->name);
}

static int add_label(struct reader *rd, const char *name, uint32_t *ret)
{
	struct bindings_file *file = rd->file;
	struct known_label wanted = { .name = (char *)name }, **found, *known;

	found = tfind(&wanted, &rd->label_tree, compare_known);
	if (found) {
		*ret = (*found)->index;
		return 1;
	}
	if (file->n_labels == rd->labels_room) {
		size_t room = rd->labels_room ? 2 * rd->labels_room : 64;
		const char **grown = reallocarray(file->labels, room, sizeof(*grown));

		if (!grown)
			return fail(rd, -ENOMEM);
		file->labels = grown;
		rd->labels_room = room;
	}
	known = malloc(sizeof(*known));
	if (!known)
		return fail(rd, -ENOMEM);
	known->name = strdup(name);
	known->index = (uint32_t)file->n_labels;
	if (!known->name || !tsearch(known, &rd->label_tree, compare_known)) {
		free(known->name);
		free(known);
		return fail(rd, -ENOMEM);
	}
	file->labels[file->n_labels++] = known->name;
	*ret = known->index;
	return 1;
}

static int set_label(struct reader *rd, const char *text, size_t len)
{
	char label[ISOMER_LABEL_MAX + 1];

	if (len >= sizeof(label) || memchr(text, '\0', len))
		return refuse(rd, "the label is too long or holds a NUL");
	memcpy(label, text, len);
	label[len] = '\0';
	if (isomer_label_check(label) < 0)
		return refuse(rd, "label '%s' is not valid: 1 to %d of A-Z a-z 0-9 _ . @ : + -",
			      label, ISOMER_LABEL_MAX);
	return add_label(rd, label, &rd->binding.destination);
}

static int set_prefix(struct reader *rd, const char *text, size_t len)
{
	struct isomer_prefix prefix;
	bool masked;
	int r = isomer_parse_prefix(text, len, &prefix, &masked);

	if (r == -EAFNOSUPPORT)
		return refuse(rd, "prefix '%.*s' is an IPv4-mapped IPv6 address: write it as IPv4",
			      (int)len, text);
	if (r < 0)
		return refuse(rd, "prefix '%.*s' is not an IPv4 or IPv6 ADDRESS[/LEN]",
			      len < 100 ? (int)len : 100, text);
	rd->file->masked += masked;
	rd->binding.domain = prefix.domain;
	rd->binding.prefixlen = prefix.len;
	memcpy(rd->binding.addr, prefix.addr, sizeof(rd->binding.addr));
	return 1;
}

static int set_port(struct reader *rd, const char *text, size_t len)
{
	struct isomer_ports ports;

	if (isomer_parse_ports(text, len, &ports) < 0)
		return refuse(rd, "port '%.*s' is not 1 to 65535, a range a-b, or 0 for all ports",
			      len < 32 ? (int)len : 32, text);
	rd->binding.port_first = ports.first;
	rd->binding.port_last = ports.last;
	return 1;
}

static int set_protocol(struct reader *rd, const char *text, size_t len)
{
	if (isomer_parse_protocol(text, len, &rd->binding.protocol) < 0)
		return refuse(rd, "protocol '%.*s' is neither tcp nor udp",
			      len < 32 ? (int)len : 32, text);
	return 1;
}

static int set_miss(struct reader *rd, const char *text, size_t len)
{
	if (len == 4 && !memcmp(text, "drop", 4))
		rd->binding.miss = ISOMER_MISS_DROP;
	else if (len == 4 && !memcmp(text, "pass", 4))
		rd->binding.miss = ISOMER_MISS_PASS;
	else
		return refuse(rd, "miss '%.*s' is neither drop nor pass", len < 32 ? (int)len : 32,
			      text);
	return 1;
}

static int set_text(struct reader *rd, const char *text, size_t len)
{
	switch (rd->field) {
	case FIELD_LABEL:
		return set_label(rd, text, len);
	case FIELD_PREFIX:
		return set_prefix(rd, text, len);
	case FIELD_PORT:
		return set_port(rd, text, len);
	case FIELD_PROTOCOL:
		return set_protocol(rd, text, len);
	default:
		return set_miss(rd, text, len);
	}
}

static int add_binding(struct reader *rd, uint8_t protocol)
{
	struct bindings *set = &rd->file->bindings;

	if (set->n == rd->room) {
		size_t room = rd->room ? 2 * rd->room : 1024;
		struct isomer_binding *grown = reallocarray(set->entries, room, sizeof(*grown));

		if (!grown)
			return fail(rd, -ENOMEM);
		set->entries = grown;
		rd->room = room;
	}
	if (set->n >= ISOMER_BINDINGS_MAX)
		return refuse(rd, "more than %d bindings; without a protocol an entry is two",
			      ISOMER_BINDINGS_MAX);
	set->entries[set->n] = rd->binding;
	set->entries[set->n].protocol = protocol;
	/* Only while the file is read: so that a duplicate can be named. */
	set->entries[set->n].reserved = (uint32_t)rd->entry;
	set->n++;
	return 1;
}

/* ---- what the parser meets ---- */

static int wrong_type(struct reader *rd, const char *type)
{
	if (rd->place == PLACE_VALUE)
		return refuse(rd, "field '%s' must not be %s", field_names[rd->field], type);
	if (rd->place == PLACE_KEY)
		return refuse(rd, "'bindings' must be an array, not %s", type);
	rd->entry += rd->place == PLACE_LIST; /* it stands where an entry should */
	return refuse(rd, "%s where none belongs", type);
}

static int on_map(void *arg)
{
	struct reader *rd = arg;

	if (rd->place == PLACE_START) {
		rd->place = PLACE_DOCUMENT;
		return 1;
	}
	if (rd->place == PLACE_LIST) {
		rd->place = PLACE_ENTRY;
		rd->entry++;
		rd->binding = (struct isomer_binding){ .miss = ISOMER_MISS_DROP };
		memset(rd->seen, 0, sizeof(rd->seen));
		return 1;
	}
	return wrong_type(rd, "an object");
}

static int on_map_key(void *arg, const unsigned char *key, size_t len)
{
	struct reader *rd = arg;

	if (rd->place == PLACE_DOCUMENT && len == 8 && !memcmp(key, "bindings", 8)) {
		rd->place = PLACE_KEY;
		return 1;
	}
	for (int f = 0; rd->place == PLACE_ENTRY && f < FIELDS; f++) {
		if (len != strlen(field_names[f]) || memcmp(key, field_names[f], len))
			continue;
		if (rd->seen[f])
			return refuse(rd, "field '%s' twice", field_names[f]);
		rd->seen[f] = true;
		rd->field = (enum field)f;
		rd->place = PLACE_VALUE;
		return 1;
	}
	return refuse(rd, "unknown field '%.*s'", len < 100 ? (int)len : 100, key);
}

static int on_map_end(void *arg)
{
	struct reader *rd = arg;

	if (rd->place == PLACE_DOCUMENT)
		return refuse(rd, "there is no field 'bindings'");
	if (rd->place == PLACE_DOCUMENT_END) {
		rd->place = PLACE_END;
		return 1;
	}
	for (int f = FIELD_LABEL; f <= FIELD_PORT; f++)
		if (!rd->seen[f])
			return refuse(rd, "field '%s' is missing", field_names[f]);
	rd->place = PLACE_LIST;
	if (rd->seen[FIELD_PROTOCOL])
		return add_binding(rd, rd->binding.protocol);
	return add_binding(rd, IPPROTO_TCP) && add_binding(rd, IPPROTO_UDP);
}

static int on_array(void *arg)
{
	struct reader *rd = arg;

	if (rd->place != PLACE_KEY)
		return wrong_type(rd, "an array");
	rd->place = PLACE_LIST;
	return 1;
}

static int on_array_end(void *arg)
{
	struct reader *rd = arg;

	rd->place = PLACE_DOCUMENT_END;
	rd->entry = 0;
	return 1;
}

static int on_string(void *arg, const unsigned char *text, size_t len)
{
	struct reader *rd = arg;

	if (rd->place != PLACE_VALUE)
		return wrong_type(rd, "a string");
	rd->place = PLACE_ENTRY;
	return set_text(rd, (const char *)text, len);
}

static int on_number(void *arg, const char *text, size_t len)
{
	struct reader *rd = arg;

	if (rd->place != PLACE_VALUE || rd->field != FIELD_PORT)
		return wrong_type(rd, "a number");
	rd->place = PLACE_ENTRY;
	return set_port(rd, text, len);
}

static int on_null(void *arg)
{
	return wrong_type(arg, "null");
}

static int on_boolean(void *arg, int value)
{
	(void)value;
	return wrong_type(arg, "a boolean");
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_map,
	.yajl_map_key = on_map_key,
	.yajl_end_map = on_map_end,
	.yajl_start_array = on_array,
	.yajl_end_array = on_array_end,
};

/* ---- the whole file ---- */

/* yajl uses what it is given without a look. */
static void *allocate(void *arg, size_t size)
{
	struct reader *rd = arg;
	void *p = malloc(size);

	if (!p)
		longjmp(rd->no_memory, 1);
	return p;
}

static void *reallocate(void *arg, void *old, size_t size)
{
	struct reader *rd = arg;
	void *p = realloc(old, size);

	if (!p)
		longjmp(rd->no_memory, 1);
	return p;
}

static void release(void *arg, void *p)
{
	(void)arg;
	free(p);
}

static void yajl_freep(yajl_handle *handle)
{
	if (*handle)
		yajl_free(*handle);
}

/* Turns a syntax error into one line; @line counts from 1. */
static int syntax_error(struct reader *rd, yajl_handle handle, size_t line)
{
	unsigned char *text = yajl_get_error(handle, 0, NULL, 0);

	snprintf(rd->error, BINDINGS_FILE_ERROR_SIZE, "line %zu: %.*s", line,
		 text ? (int)strcspn((char *)text, "\n") : 0, text ? (char *)text : "");
	yajl_free_error(handle, text);
	return -EINVAL;
}

static size_t count_lines(const unsigned char *text, size_t len)
{
	size_t lines = 0;

	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	return lines;
}

/* Puts the line before a message that names no entry. */
static void add_line(struct reader *rd, size_t line)
{
	char message[BINDINGS_FILE_ERROR_SIZE];

	memcpy(message, rd->error, sizeof(message));
	snprintf(rd->error, BINDINGS_FILE_ERROR_SIZE, "line %zu: %.*s", line,
		 BINDINGS_FILE_ERROR_SIZE - 32, message);
}

static int parse(int fd, struct reader *rd)
{
	yajl_alloc_funcs memory = { allocate, reallocate, release, rd };
	CLEANUP(yajl_freep) yajl_handle handle = yajl_alloc(&callbacks, &memory, rd);
	CLEANUP_FREE unsigned char *chunk = malloc(CHUNK);
	yajl_status status = yajl_status_ok;
	size_t line = 1, total = 0;
	ssize_t n;

	if (!handle || !chunk)
		return -ENOMEM;
	while ((n = read(fd, chunk, CHUNK)) > 0) {
		total += (size_t)n;
		progress_bytes("reading bindings", total);
		status = yajl_parse(handle, chunk, (size_t)n);
		if (status != yajl_status_ok) {
			size_t consumed = yajl_get_bytes_consumed(handle);

			line += count_lines(chunk, consumed < (size_t)n ? consumed : (size_t)n);
			break;
		}
		line += count_lines(chunk, (size_t)n);
	}
	if (n < 0)
		return -errno;
	if (status == yajl_status_ok)
		status = yajl_complete_parse(handle);
	if (rd->r == -EINVAL && rd->entry == 0)
		add_line(rd, line);
	if (rd->r < 0)
		return rd->r;
	if (status != yajl_status_ok)
		return syntax_error(rd, handle, line);
	if (rd->place != PLACE_END) {
		rd->entry = 0;
		refuse(rd, "the file ends before its document does");
		return rd->r;
	}
	return 0;
}

/* Without memory what yajl holds is lost: there is no way to free it half made. */
static int parse_or_fail(int fd, struct reader *rd)
{
	if (setjmp(rd->no_memory))
		return -ENOMEM;
	return parse(fd, rd);
}

/* After sorting, bindings of the same traffic are neighbours. */
static int check_duplicates(struct reader *rd)
{
	struct bindings *set = &rd->file->bindings;
	char text[BINDING_TEXT_SIZE];

	bindings_sort(set);
	for (size_t i = 1; i < set->n; i++) {
		struct isomer_binding *a = &set->entries[i - 1], *b = &set->entries[i];

		if (!bindings_same_traffic(a, b))
			continue;
		binding_text(b, rd->file->labels[b->destination], text);
		snprintf(rd->error, BINDINGS_FILE_ERROR_SIZE,
			 "entries %u and %u are for the same traffic: %s",
			 a->reserved < b->reserved ? a->reserved : b->reserved,
			 a->reserved < b->reserved ? b->reserved : a->reserved, text);
		return -EINVAL;
	}
	for (size_t i = 0; i < set->n; i++)
		set->entries[i].reserved = 0;
	return 0;
}

int bindings_file_read(int fd, struct bindings_file *ret, char ret_error[BINDINGS_FILE_ERROR_SIZE])
{
	struct bindings_file file = BINDINGS_FILE_NONE;
	struct reader rd = { .file = &file, .error = ret_error };
	int r;

	r = parse_or_fail(fd, &rd);
	progress_clear();
	if (r == 0)
		r = check_duplicates(&rd);
	tdestroy(rd.label_tree, free); /* the names are the file's */
	if (r < 0) {
		bindings_file_done(&file);
		return r;
	}

	*ret = file;
	return 0;
}

void bindings_file_done(struct bindings_file *file)
{
	for (size_t i = 0; i < file->n_labels; i++)
		free((char *)file->labels[i]);
	free(file->labels);
	bindings_done(&file->bindings);
	*file = BINDINGS_FILE_NONE;
}
