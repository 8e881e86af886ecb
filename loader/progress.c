/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/progress.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define FIRST_MS 1000
#define NEXT_MS  200

/* Short enough for any terminal, so that a carriage return gets back to its beginning. */
#define LINE_MAX_SIZE 72

static struct {
	uint64_t next; /* when to show, in ms; 0: nothing has begun */
	int width;     /* of what is shown */
} line;

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Over what was there before. */
static void show(const char *text)
{
	int width = fprintf(stderr, "\r%-*s", line.width, text) - 1;

	line.width = width > 0 ? width : 0;
	fflush(stderr);
}

bool progress_is_shown(void)
{
	return isatty(STDERR_FILENO);
}

/* Is it time to show something? */
static bool is_due(void)
{
	uint64_t now = now_ms();

	if (line.next == 0)
		line.next = now + FIRST_MS;
	if (now < line.next || !progress_is_shown())
		return false;
	line.next = now + NEXT_MS;
	return true;
}

void progress_bytes(const char *doing, uint64_t done)
{
	char text[LINE_MAX_SIZE];

	if (!is_due())
		return;
	snprintf(text, sizeof(text), "%s: %" PRIu64 " MiB", doing, done >> 20);
	show(text);
}

void progress_count(const char *doing, size_t done, size_t total)
{
	char text[LINE_MAX_SIZE];

	if (!is_due())
		return;
	snprintf(text, sizeof(text), "%s: %zu of %zu", doing, done, total);
	show(text);
}

void progress_wait(const char *format, ...)
{
	char text[LINE_MAX_SIZE];
	va_list args;

	if (!progress_is_shown())
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	show(text);
}

void progress_clear(void)
{
	if (line.width) {
		show("");
		fputc('\r', stderr);
	}
	line.width = 0;
	line.next = 0;
}
