/* SPDX-License-Identifier: BSD-3-Clause */
/* Servers that know nothing of isomer, started under the preload library. */
#pragma once

#include <stdint.h>

#include "support/process.h"

/** Skips the test (or fails it, as skip_or_fail() does) when there is no such program. */
void server_need(const char *program);

/** Debian's own: one of the user's home would not be there for other users. */
const char *server_python(void);

/** Path of a script of tests/integration/guests. */
const char *server_script(const char *name);

/** Starts a program under the library; @variable is "ISOMER_LABEL=…" or "ISOMER_RULES=…". */
struct process *server_start(const char *variable, const char *const *argv);

/** Waits until the library has said that it registered a socket under @label. */
void server_wait_registered(struct process *p, const char *label);

/** Starts server_tcp.py on @ip:@port as @name under @label, with @sockets listeners that share
 * their port (0: one that does not), and waits until it listens. It is registered then. */
struct process *server_start_tcp(const char *label, const char *name, const char *ip, uint16_t port,
				 unsigned sockets);

/** Ends it with @signal, and fails the test when the library had anything to complain about.
 * Exit status as process_stop(). */
int server_stop(struct process *p, int signal);

/** Says which server_tcp.py answers there; fails the test when none does, or when the accepted
 * connection does not have the address that the client asked for. */
void server_ask(const char *ip, uint16_t port, char ret_name[32]);

/** Fails the test unless it is @name. */
void server_answers(const char *ip, uint16_t port, const char *name);

/** Fails the test unless TCP clients are refused. */
void server_refuses(const char *ip, uint16_t port);

/** Makes all addresses of @prefix local to the test's namespace. */
void server_local_prefix(const char *prefix);
