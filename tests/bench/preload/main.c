/* SPDX-License-Identifier: BSD-3-Clause */
/* What a server pays for the library and for a binding. Prints tables in Markdown; needs root, and
 * nginx in PATH. In namespaces of its own.
 *
 * usage: bench_preload [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/figures.h"
#include "bench/preload/parts.h"
#include "support/process.h"

/* How often a part takes its turn in the place of one round: what takes little time, more often. */
#define STARTS      10
#define CALLS       3
#define CONNECTIONS 5

int main(int argc, char **argv)
{
	unsigned rounds = figures_rounds(argc, argv, 21, SERIES_MAX / STARTS);
	void *state = NULL;
	bool met;

	figures_begin(&state);
	loader_ok("load", NULL);
	loader_ok("bind", "foo", "tcp", "127.0.0.2", "0", NULL);
	loader_ok("bind", "foo", "udp", "127.0.0.2", "0", NULL);
	loader_ok("bind", "web", "tcp", "127.0.0.2", "80", NULL);
	bench_start(STARTS * rounds);
	printf("\n");
	bench_calls(CALLS * rounds);
	printf("\n");
	met = bench_connections(CONNECTIONS * rounds);
	if (netns_teardown(&state) < 0)
		return EXIT_FAILURE;
	return met ? EXIT_SUCCESS : EXIT_FAILURE;
}
