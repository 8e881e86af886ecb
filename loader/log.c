/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/log.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "loader/json.h"
#include "state/cleanup.h"

static bool use_json;

void log_use_json(void)
{
	use_json = true;
}

static void print_json(const char *message, int error)
{
	CLEANUP(json_freep) struct json *j = json_new();

	if (!j)
		return;
	json_object(j, "error");
	json_text(j, "message", message);
	if (error)
		json_number(j, "errno", (uint64_t)error);
	else
		json_text(j, "errno", NULL);
	json_close_object(j);
	(void)json_end(TAKE_PTR(j));
}

#define MESSAGE_SIZE 4096

/* Length of the UTF-8 character at @c, 0 if there is none, or one that a terminal obeys. */
static size_t printable(const unsigned char *c)
{
	size_t len = *c < 0x80                 ? 1
		     : *c >= 0xc2 && *c < 0xe0 ? 2
		     : *c >= 0xe0 && *c < 0xf0 ? 3
		     : *c >= 0xf0 && *c < 0xf5 ? 4
					       : 0;

	if (*c < ' ' || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0))
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

/* What a message quotes may hold anything; one line must stay one, and JSON be UTF-8. */
static void defuse(char *message)
{
	for (size_t i = 0; message[i];) {
		size_t len = printable((unsigned char *)message + i);

		if (len == 0)
			message[i] = '?';
		i += len ? len : 1;
	}
}

/* @error: errno of a failure, 0 for wrong usage, -1 for a notice. */
static void say(int error, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

/* One write for the whole line, so that lines of several loaders do not mix. */
static void say(int error, const char *format, va_list args)
{
	char message[MESSAGE_SIZE];

	errno = error;
	vsnprintf(message, sizeof(message), format, args);
	defuse(message);
	fprintf(stderr, "isomer-loader: %s\n", message);
	if (use_json && error >= 0)
		print_json(message, error);
}

int log_failure(int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(-r, format, args);
	va_end(args);
	return EXIT_FAILURE;
}

int log_usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(0, format, args);
	va_end(args);
	return EXIT_USAGE;
}

void log_notice(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(-1, format, args);
	va_end(args);
}

static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	return vfprintf(stderr, format, args);
}

void log_setup_libbpf(void)
{
	libbpf_set_print(getenv("ISOMER_LOADER_DEBUG") ? print_libbpf : NULL);
}
