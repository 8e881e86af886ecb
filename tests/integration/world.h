/* SPDX-License-Identifier: BSD-3-Clause */
/* What commands change while something is done to them: servers, clients, and what an operator
 * sees. Commands are written as for a shell, without the program's name; words that begin with '@'
 * are placeholders: "@pid" for the test, which holds the servers' sockets, "@old" and "@new" for
 * files of bindings, "@cgroup" for a cgroup without processes.
 */
#pragma once

#include "integration/own_cgroup.h"
#include "support/netns.h"
#include "support/process.h"

#define TEXT_SIZE 4096

enum server { FOO, BAR, SECOND_FOO, OTHER, SERVERS };

struct world {
	const struct netns_fixture *ns;
	int tcp[SERVERS], udp[SERVERS];
	struct own_cgroup cgroup;
};

void world_open(struct world *w, const struct netns_fixture *ns);
void world_close(struct world *w);

/** What clients and operators see: who serves each address, and the bindings. */
void observe(const struct world *w, char ret[TEXT_SIZE]);

/** The same, and who is granted a label, and how much room there is; checks that the state is
 * whole, by which all slot maps of a label have the same owner. */
void describe(const struct world *w, char ret[TEXT_SIZE]);

/** Fails the test when commands have left something beside the state. */
void check_nothing_beside(const struct world *w);

#define WORDS_MAX 12

struct words {
	char text[128], pid[16];
	const char *argv[WORDS_MAX + 1];
};

/** Splits a command, and puts in what it has placeholders for. */
void words_of(const char *command, struct words *ret);

struct command_result run(const char *command);

/** Runs a command that must succeed. "!detach" makes the state one of a namespace that has gone, or
 * that was half unloaded. */
void run_ok(const struct world *w, const char *command);

/** The same, up to a NULL; @commands may be NULL. */
void run_all(const struct world *w, const char *const *commands);
