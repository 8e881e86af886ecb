/* SPDX-License-Identifier: BSD-3-Clause */
/* How long the loader takes, and how much memory, beside what the kernel's grace periods cost at
 * the same time. Prints a table in Markdown; needs root. In namespaces of its own.
 *
 * usage: bench_control [ROUNDS]
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "state/cleanup.h"
#include "support/netns.h"
#include "support/process.h"

#define ROUNDS_DEFAULT 5
#define ROUNDS_MAX     99
#define SAMPLES_MAX    1024

/* What the child's file is called there. */
#define FILE_FD   3
#define FILE_NAME "/proc/self/fd/3"

/* ---- figures ---- */

struct sample {
	double seconds, cpu;
	long kilobytes;
};

struct series {
	struct sample samples[SAMPLES_MAX];
	size_t n;
};

/* Measured between all the others, as the machine is not always as busy. */
static struct series grace_periods;

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Of the values at @offset in each sample; @part: 0 the smallest, 0.5 the median. */
static double pick(const struct series *s, size_t offset, double part)
{
	double values[SAMPLES_MAX];

	for (size_t i = 0; i < s->n; i++)
		memcpy(&values[i], (const char *)&s->samples[i] + offset, sizeof(values[i]));
	qsort(values, s->n, sizeof(*values), compare_doubles);
	return values[(size_t)((double)s->n * part)];
}

#define MEDIAN(s, member)  pick((s), offsetof(struct sample, member), 0.5)
#define MINIMUM(s, member) pick((s), offsetof(struct sample, member), 0)

static void add(struct series *s, struct sample sample)
{
	if (s->n < SAMPLES_MAX)
		s->samples[s->n++] = sample;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static _Noreturn void give_up(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

/* ---- what is measured ---- */

/* An update of a map of maps returns when no program sees the former value any more. */
static struct sample measure_grace_period(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, options);
	CLEANUP_FD int inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "inner", 4, 4, 1, NULL);
	CLEANUP_FD int outer = -1;
	struct sample s = { 0 };
	uint32_t key = 0;

	options.inner_map_fd = (uint32_t)inner;
	outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "outer", 4, 4, 1, &options);
	if (inner < 0 || outer < 0)
		give_up("maps");
	s.seconds = now();
	if (bpf_map_update_elem(outer, &key, &inner, BPF_ANY) < 0)
		give_up("update of a map of maps");
	s.seconds = now() - s.seconds;
	return s;
}

static _Noreturn void child_main(const char *const *args, int file)
{
	const char *argv[16] = { loader_path() };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (size_t i = 0; args[i]; i++)
		argv[1 + i] = args[i];
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    (file > 0 && dup2(file, FILE_FD) < 0))
		_exit(127);
	execv(argv[0], (char *const *)argv);
	_exit(127);
}

/* Runs the loader with the arguments up to a NULL. A child of vfork() would share the peak of our
 * memory with its own. */
static struct sample run(const char *const *args, int file)
{
	struct sample s = { .seconds = now() };
	struct rusage usage;
	pid_t pid = fork();
	int status;

	if (pid == 0)
		child_main(args, file);
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid)
		give_up("isomer-loader");
	s.seconds = now() - s.seconds;
	if (status != 0) {
		fprintf(stderr, "isomer-loader %s: status %#x\n", args[0], (unsigned)status);
		exit(EXIT_FAILURE);
	}
	s.cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	s.kilobytes = usage.ru_maxrss;
	return s;
}

#define RUN(file, ...) run((const char *const[]){ __VA_ARGS__, NULL }, (file))

/* A file of @n bindings, whose labels take turns. */
static int make_file(unsigned n, unsigned labels)
{
	int fd = memfd_create("bindings", MFD_CLOEXEC);
	FILE *out = fd < 0 ? NULL : fdopen(dup(fd), "w");

	if (!out)
		give_up("file");
	fprintf(out, "{\"bindings\": [");
	for (unsigned i = 0; i < n; i++)
		fprintf(out,
			"%s\n{\"label\": \"label%u\", \"protocol\": \"tcp\", "
			"\"prefix\": \"10.%u.%u.%u\", \"port\": 80}",
			i ? "," : "", i % labels, i >> 16, i >> 8 & 255, i & 255);
	fprintf(out, "\n]}\n");
	if (fclose(out) != 0)
		give_up("file");
	return fd;
}

static void load_anew(void)
{
	RUN(0, "unload");
	RUN(0, "load");
}

/* ---- the rows ---- */

static void print_heading(void)
{
	printf("| | median | minimum | in grace periods | beyond them | bound | | CPU "
	       "| peak memory | bound | |\n"
	       "|---|---|---|---|---|---|---|---|---|---|---|\n");
}

struct row {
	const char *name;
	unsigned periods; /* grace periods that it has to wait for */
	double bound;     /* seconds beyond them; 0: none */
	unsigned bindings;
};

static void print_row(const struct row *row, const struct series *s)
{
	double grace = MEDIAN(&grace_periods, seconds), median = MEDIAN(s, seconds);
	double beyond = median - row->periods * grace;
	long memory = 0, memory_bound = (long)row->bindings * 100 / 1024 + 10L * 1024;

	for (size_t i = 0; i < s->n; i++)
		if (s->samples[i].kilobytes > memory)
			memory = s->samples[i].kilobytes;
	printf("| %s | %.1f ms | %.1f ms | %.1f | ", row->name, 1e3 * median,
	       1e3 * MINIMUM(s, seconds), median / grace);
	if (row->bound > 0)
		printf("%.1f ms | %.0f ms | %s | ", 1e3 * beyond, 1e3 * row->bound,
		       beyond <= row->bound ? "met" : "NOT met");
	else
		printf("| | | ");
	if (memory)
		printf("%.1f ms | %.1f MB | %.1f MB | %s |\n", 1e3 * MEDIAN(s, cpu),
		       (double)memory / 1024, (double)memory_bound / 1024,
		       memory <= memory_bound ? "met" : "NOT met");
	else
		printf("| | | |\n");
	fflush(stdout);
}

static void bench_fresh(const char *name, unsigned n, unsigned labels, double bound,
			unsigned rounds)
{
	CLEANUP_FD int file = make_file(n, labels);
	struct series s = { .n = 0 };

	for (unsigned i = 0; i < rounds; i++) {
		load_anew();
		add(&grace_periods, measure_grace_period());
		add(&s, RUN(file, "load-bindings", FILE_NAME));
	}
	/* All new destinations, then the ruleset. */
	print_row(&(struct row){ name, 2, bound, n }, &s);
}

/* On what is loaded; @n: how many bindings. */
static void bench_full(unsigned n, unsigned rounds)
{
	CLEANUP_FD int file = make_file(n, 2000);
	struct series again = { .n = 0 }, bind = { .n = 0 }, unbind = { .n = 0 }, list = { .n = 0 };
	struct series json = { .n = 0 }, status = { .n = 0 }, dry = { .n = 0 };

	load_anew();
	RUN(file, "load-bindings", FILE_NAME);
	for (unsigned i = 0; i < rounds; i++) {
		add(&grace_periods, measure_grace_period());
		add(&again, RUN(file, "load-bindings", FILE_NAME));
		add(&dry, RUN(file, "load-bindings", "--dry-run", FILE_NAME));
		add(&bind, RUN(0, "bind", "label1", "tcp", "192.0.2.1", "80"));
		add(&unbind, RUN(0, "unbind", "label1", "tcp", "192.0.2.1", "80"));
		add(&list, RUN(0, "bindings"));
		add(&json, RUN(0, "bindings", "--json"));
		add(&status, RUN(0, "status"));
	}
	print_row(&(struct row){ "load-bindings of the same 100,000", 0, 0.3, n }, &again);
	print_row(&(struct row){ "load-bindings --dry-run of the same", 0, 0, n }, &dry);
	print_row(&(struct row){ "bind into 100,000", 1, 0.05, n }, &bind);
	print_row(&(struct row){ "unbind from 100,001", 1, 0, n }, &unbind);
	print_row(&(struct row){ "bindings of 100,000", 0, 0.3, n }, &list);
	print_row(&(struct row){ "bindings --json of 100,000", 0, 0, n }, &json);
	print_row(&(struct row){ "status of 100,000, 2,000 labels", 0, 0, n }, &status);
}

static void bench_empty(unsigned rounds)
{
	struct series fresh = { .n = 0 }, known = { .n = 0 };

	load_anew();
	for (unsigned i = 0; i < rounds; i++) {
		add(&grace_periods, measure_grace_period());
		add(&fresh, RUN(0, "bind", "foo", "tcp", "192.0.2.1", "80"));
		add(&known, RUN(0, "bind", "foo", "tcp", "192.0.2.2", "80"));
		RUN(0, "unbind", "foo", "tcp", "192.0.2.2", "80");
		RUN(0, "unbind", "foo", "tcp", "192.0.2.1", "80");
	}
	print_row(&(struct row){ "bind of a new label into an empty one", 2, 0.005, 0 }, &fresh);
	print_row(&(struct row){ "bind of a known label into one", 1, 0.005, 0 }, &known);
}

static void bench_start(unsigned rounds)
{
	struct series start = { .n = 0 };

	for (unsigned i = 0; i < rounds; i++) {
		add(&grace_periods, measure_grace_period());
		add(&start, RUN(0, "version"));
	}
	print_row(&(struct row){ "start of the program (version)", 0, 0, 0 }, &start);
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : ROUNDS_DEFAULT;
	struct netns_fixture *ns;
	void *state = NULL;

	if (rounds == 0 || rounds > ROUNDS_MAX / 3) {
		fprintf(stderr, "usage: bench_control [ROUNDS], 1 to %d\n", ROUNDS_MAX / 3);
		return 2;
	}
	if (netns_setup(&state) < 0)
		return EXIT_FAILURE;
	ns = state;
	if (ns->setup_error) {
		errno = -ns->setup_error;
		give_up("namespaces");
	}
	RUN(0, "load");
	print_heading();
	bench_start(3 * rounds);
	bench_empty(3 * rounds);
	bench_full(100000, rounds);
	bench_fresh("load-bindings of 100,000, 1 label", 100000, 1, 0.5, rounds);
	bench_fresh("load-bindings of 100,000, 2,000 labels", 100000, 2000, 0.5, rounds);
	bench_fresh("load-bindings of 1,000,000, 100 labels", 1000000, 100, 4, (rounds + 1) / 2);
	print_row(&(struct row){ "grace period of the kernel, all along", 1, 0, 0 },
		  &grace_periods);
	return netns_teardown(&state) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
