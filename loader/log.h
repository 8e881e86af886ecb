/* SPDX-License-Identifier: BSD-3-Clause */
/* Diagnostics: one line on stderr each, with the program's name before it. Results go to stdout
 * and are not printed here. Only commands and main() log; what they call returns -errno.
 */
#pragma once

/* Exit statuses. EXIT_SUCCESS and EXIT_FAILURE are 0 and 1. */
#define EXIT_USAGE 2

/** Prints what failed, on what, and what to do. "%m" is the text of @r, a negative errno.
 * Returns EXIT_FAILURE. */
int log_failure(int r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Prints what is wrong with the command line. Returns EXIT_USAGE. */
int log_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** From here on failures and usage errors are also a JSON document on stdout:
 * {"error": {"message": …, "errno": …}}, errno being null for wrong usage. */
void log_use_json(void);

/** Prints something worth knowing that is no failure. */
void log_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Sends libbpf's own messages to stderr if ISOMER_LOADER_DEBUG is set, nowhere otherwise. */
void log_setup_libbpf(void);
