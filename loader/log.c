/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/log.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void print(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/* One write for the whole line, so that lines of several loaders do not mix. */
static void print(const char *format, va_list args)
{
	char line[4096];
	int used = snprintf(line, sizeof(line), "isomer-loader: ");

	vsnprintf(line + used, sizeof(line) - (size_t)used, format, args);
	fprintf(stderr, "%s\n", line);
}

int log_failure(int r, const char *format, ...)
{
	va_list args;

	errno = -r;
	va_start(args, format);
	print(format, args);
	va_end(args);
	return EXIT_FAILURE;
}

int log_usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print(format, args);
	va_end(args);
	return EXIT_USAGE;
}

void log_notice(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print(format, args);
	va_end(args);
}

static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	return vfprintf(stderr, format, args);
}

void log_setup_libbpf(void)
{
	libbpf_set_print(getenv("ISOMER_LOADER_DEBUG") ? print_libbpf : NULL);
}
