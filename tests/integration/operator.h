/* SPDX-License-Identifier: BSD-3-Clause */
/* What an operator has at hand: files, a shell, and a look into JSON. Each function fails the test
 * when it cannot do its job.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "support/process.h"

/** The file that a program was given. */
#define OPERATOR_FILE "/proc/self/fd/3"

/** Small, so that looking through the whole state takes no time. */
#define OPERATOR_LOAD "load", "--max-destinations", "64"

/** Loads a dispatcher with something in every map: bindings of foo (of which 127.0.0.1 port 80 of
 * TCP is one) and bar, and a grant. */
void operator_load_sample(void);

/** Loads a dispatcher with the binding kept#tcp:[127.9.0.0/16]:9, which a file that is taken by
 * mistake would remove. */
void operator_load_kept(void);

#define OPERATOR_ARGS_MAX 12

/** Runs the loader. @args: up to a NULL, or OPERATOR_ARGS_MAX. */
struct command_result operator_loader(const char *const *args);

/** Is this one message of the loader's, with nothing in it that steers a terminal? */
bool operator_is_one_line(const char *text);

/** Makes a file in memory, for @file or struct process_options' pass_fd. Returns a descriptor. */
int operator_file(const void *bytes, size_t len);

/** `isomer-loader load-bindings [@option] FILE` with these bytes as file. @option may be NULL. */
struct command_result operator_load_bindings(const char *option, const void *bytes, size_t len);

/** Runs a shell script: $0 is the loader, $1 and following are the arguments up to a NULL. @file: a
 * descriptor that becomes OPERATOR_FILE, or 0. */
struct command_result operator_shell(int file, const char *script, ...) __attribute__((sentinel));

/**
 * Runs the program, up to a NULL, in a terminal of the kind @term. Once it has shown @text, types
 * @action, or sends it that signal ("SIGINT"), or takes the terminal away ("hang up").
 *
 * Prints "shown" or "not shown" and the exit status as Python has it ("shown ended with 0"); below
 * it all that came to the terminal.
 */
struct command_result operator_in_terminal(const char *term, const char *text, const char *action,
					   ...) __attribute__((sentinel));

/** Fails the test unless a command has ended with @status and printed one line on stderr, with
 * @text in it; or nothing there if @text is NULL. Frees the result. */
void operator_said(struct command_result *r, int status, const char *text);

/** The same, and @out is all that stands on stdout. */
void operator_printed(struct command_result *r, int status, const char *out, const char *text);

/** What Python says of @expression, in which "d" is the document and keys(d) the paths of all its
 * keys in their order, with a space between ("a a.b c[].d"). @document must be one JSON document.
 * The caller's to free. */
char *operator_json(const char *document, const char *expression);

/** Fails the test unless it says @expected. */
void operator_json_is(const char *document, const char *expression, const char *expected);
