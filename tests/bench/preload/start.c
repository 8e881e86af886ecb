/* SPDX-License-Identifier: BSD-3-Clause */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/figures.h"
#include "bench/preload/parts.h"
#include "state/cleanup.h"
#include "support/process.h"

#define PROGRAM "/bin/true"

struct start {
	struct series time, cpu; /* ns; the CPU time does not depend on how busy the machine is */
};

/* vfork() underneath: how large this program is does not count. */
static void measure(struct start *s, char *const *env)
{
	char *const argv[] = { PROGRAM, NULL };
	uint64_t begin = figures_now();
	struct rusage usage;
	pid_t pid;
	int status;

	if (posix_spawn(&pid, PROGRAM, NULL, NULL, argv, env) != 0 ||
	    wait4(pid, &status, 0, &usage) != pid || status != 0)
		figures_give_up(PROGRAM);
	series_add(&s->time, (double)(figures_now() - begin));
	series_add(&s->cpu,
		   (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
			   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3);
}

static void print_row(const char *name, const struct start *s, const struct start *bare)
{
	struct quartiles time = series_quartiles(&s->time), cpu = series_quartiles(&s->cpu);

	printf("| %s | %.0f | %.0f to %.0f | %.3f | %.0f | %.0f to %.0f | %.3f |\n", name,
	       time.median, time.low, time.high, series_ratio(&s->time, &bare->time).median,
	       cpu.median, cpu.low, cpu.high, series_ratio(&s->cpu, &bare->cpu).median);
}

void bench_start(unsigned rounds)
{
	CLEANUP_FREE char *preload = NULL;
	char *bare_env[] = { NULL }, *idle_env[] = { NULL, NULL };
	char *label_env[] = { NULL, "ISOMER_LABEL=foo", NULL };
	static struct start bare, idle, label;

	if (asprintf(&preload, "LD_PRELOAD=%s", preload_path()) < 0)
		figures_give_up("memory");
	idle_env[0] = label_env[0] = preload;
	for (unsigned i = 0; i < rounds; i++) {
		measure(&bare, bare_env);
		measure(&idle, idle_env);
		measure(&label, label_env);
	}
	printf("| start to end of `%s` | ns | quartiles | ratio | CPU, ns | quartiles | ratio |\n"
	       "|---|---|---|---|---|---|---|\n",
	       PROGRAM);
	print_row("without the library", &bare, &bare);
	print_row("under it, no label", &idle, &bare);
	print_row("under it, with a label", &label, &bare);
}
