/* SPDX-License-Identifier: BSD-3-Clause */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/figures.h"
#include "bench/preload/parts.h"
#include "state/cleanup.h"
#include "support/process.h"

#define PROGRAM "/bin/true"

/* vfork() underneath: how large this program is does not count. */
static double measure(char *const *env)
{
	char *const argv[] = { PROGRAM, NULL };
	uint64_t begin = figures_now();
	pid_t pid;
	int status;

	if (posix_spawn(&pid, PROGRAM, NULL, NULL, argv, env) != 0 ||
	    waitpid(pid, &status, 0) != pid || status != 0)
		figures_give_up(PROGRAM);
	return (double)(figures_now() - begin);
}

static void print_row(const char *name, const struct series *s, const struct series *bare)
{
	struct quartiles ns = series_quartiles(s), ratio = series_ratio(s, bare);

	printf("| %s | %.0f | %.0f to %.0f | %.3f |\n", name, ns.median, ns.low, ns.high,
	       ratio.median);
}

void bench_start(unsigned rounds)
{
	CLEANUP_FREE char *preload = NULL;
	char *bare_env[] = { NULL }, *idle_env[] = { NULL, NULL };
	char *label_env[] = { NULL, "ISOMER_LABEL=foo", NULL };
	static struct series bare, idle, label;

	if (asprintf(&preload, "LD_PRELOAD=%s", preload_path()) < 0)
		figures_give_up("memory");
	idle_env[0] = label_env[0] = preload;
	for (unsigned i = 0; i < rounds; i++) {
		series_add(&bare, measure(bare_env));
		series_add(&idle, measure(idle_env));
		series_add(&label, measure(label_env));
	}
	printf("| start to end of `%s` | median, ns | quartiles | ratio |\n|---|---|---|---|\n",
	       PROGRAM);
	print_row("without the library", &bare, &bare);
	print_row("under it, no label", &idle, &bare);
	print_row("under it, with a label", &label, &bare);
}
