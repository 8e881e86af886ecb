/* SPDX-License-Identifier: BSD-3-Clause */
/* The only writer to stderr: one line is one write(2), no stdio, no allocation, no blocking. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum report_level {
	REPORT_ERROR,
	REPORT_WARN,
	REPORT_INFO,
	REPORT_DEBUG,
};

#define REPORT_SIZE 1024 /* less than PIPE_BUF: lines of several processes do not mix */

/** A line in the making; what does not fit is cut and marked with "...". */
struct report {
	char text[REPORT_SIZE];
	size_t len;
};

/** Remembers what stderr is and who we are. Once, before any line. */
void report_start(enum report_level level);

/** Starts a line with "isomer: PROGRAM[PID]: ". */
void report_begin(struct report *line);

/** As printf, but knows %s, %.*s, %c, %d, %u, %lu, %llu and %% only. Bytes of strings that are not
 * printable ASCII become '?'. */
void report_add(struct report *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Writes the line. errno survives. */
void report_end(struct report *line);

/** Is a line of this level wanted? */
bool report_wanted(enum report_level level);

/** Has (@reason, @label) not been told yet by this process or the one that forked it? Says yes
 * once. When there is no room left to remember, says no: rather silent than a flood. */
bool report_first_time(unsigned reason, const char *label);
