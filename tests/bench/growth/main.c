/* SPDX-License-Identifier: BSD-3-Clause */
/* What a change of bindings costs as there are more of them: the parts of putting a whole set in
 * force, and commands of the loader on a set that is in force. Prints a table in Markdown. Needs
 * root, gnuplot for the plot; in namespaces of its own.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/document.h"
#include "bench/figures.h"
#include "bench/growth/searchers.h"
#include "bench/growth/shapes.h"
#include "bench/plot.h"
#include "loader/bindings.h"
#include "loader/ruleset.h"
#include "state/cleanup.h"
#include "support/dispatcher_fixture.h"
#include "support/process.h"

#define ROUNDS_DEFAULT 5
#define ROUNDS_MAX     99
#define LABELS         64

static const char usage[] =
	"usage: bench_growth [--quick] [--rounds N] [--write DOCUMENT] [--plot SVG]\n"
	"\n"
	"--quick            up to 10,000 bindings\n"
	"--rounds N         1 to 99 instead of 5\n"
	"--write DOCUMENT   put the table into it, too\n"
	"--plot SVG         draw it, too\n";

struct options {
	unsigned int rounds;
	size_t largest;
	const char *document, *plot;
};

enum step {
	STEP_COMPILE,
	STEP_MAP,       /* make and fill the index */
	STEP_SWAP,      /* put it in force; returns when no packet sees the former any more */
	STEP_BUSY_SWAP, /* the same, while all processors look up */
	STEP_LOAD_BINDINGS,
	STEP_BIND,
	STEP_UNBIND,
	STEPS
};

static const char *const step_names[STEPS] = {
	[STEP_COMPILE] = "compile",
	[STEP_MAP] = "make the index",
	[STEP_SWAP] = "swap",
	[STEP_BUSY_SWAP] = "swap under look-ups",
	[STEP_LOAD_BINDINGS] = "load-bindings",
	[STEP_BIND] = "bind",
	[STEP_UNBIND] = "unbind",
};

static const struct size {
	size_t n;
	const char *text;
} sizes[] = {
	{ 1, "1" },          { 10, "10" },          { 100, "100" },           { 1000, "1,000" },
	{ 10000, "10,000" }, { 100000, "100,000" }, { 1000000, "1,000,000" },
};

#define SIZES (sizeof(sizes) / sizeof(*sizes))

struct row {
	const struct shape *shape;
	const char *size;
	size_t n, bytes; /* of the index */
	struct series steps[STEPS];
};

/* ---- in this process ---- */

static uint64_t lap(struct row *row, enum step step, uint64_t begin)
{
	uint64_t end = figures_now();

	series_add(&row->steps[step], (double)(end - begin));
	return end;
}

static void measure_swap(struct dispatcher_fixture *f, struct row *row, enum step step, int index)
{
	uint64_t begin = figures_now();

	dispatcher_swap(f, index);
	(void)lap(row, step, begin);
}

static void measure_index(struct dispatcher_fixture *f, struct row *row,
			  const struct isomer_binding *set)
{
	CLEANUP(ruleset_done) struct ruleset rs = { 0 };
	CLEANUP_FD int index = -1;
	struct searchers *searchers;
	uint64_t at = figures_now();

	errno = -ruleset_compile(set, row->n, &rs);
	if (errno)
		figures_give_up("compiler");
	at = lap(row, STEP_COMPILE, at);
	index = dispatcher_make_index(f, &rs);
	(void)lap(row, STEP_MAP, at);
	measure_swap(f, row, STEP_SWAP, index);
	searchers = searchers_start(f);
	measure_swap(f, row, STEP_BUSY_SWAP, index);
	searchers_stop(searchers);
	row->bytes = ruleset_pages(&rs) * sizeof(struct isomer_page);
}

/* ---- commands ---- */

/* Of bindings 0 to @n - 2 and the one with the number @last. */
static int make_file(const struct shape *shape, size_t n, size_t last)
{
	int fd = memfd_create("bindings", MFD_CLOEXEC);
	FILE *out = fd < 0 ? NULL : fdopen(dup(fd), "w");

	if (!out)
		figures_give_up("file");
	fprintf(out, "{\"bindings\": [");
	for (size_t i = 0; i < n; i++) {
		struct isomer_binding b = shape->binding(i + 1 < n ? i : last);
		char prefix[PREFIX_TEXT_SIZE], ports[PORTS_TEXT_SIZE];

		binding_prefix_text(&b, prefix);
		binding_ports_text(&b, ports);
		fprintf(out,
			"%s\n{\"label\": \"label%zu\", \"protocol\": \"tcp\", \"prefix\": \"%s\", "
			"\"port\": \"%s\"}",
			i ? "," : "", i % LABELS, prefix, ports);
	}
	fprintf(out, "\n]}\n");
	if (fclose(out) != 0)
		figures_give_up("file");
	return fd;
}

static void measure_command(struct row *row, enum step step, const char *const *args, int file)
{
	const char *argv[8] = { loader_path() };
	uint64_t begin = figures_now();
	struct command_result r;

	for (size_t i = 0; args[i]; i++)
		argv[1 + i] = args[i];
	r = command_run(&(struct process_options){ .argv = argv, .pass_fd = file });
	(void)lap(row, step, begin);
	if (r.status != 0) {
		fprintf(stderr, "%s: %s", step_names[step], r.err);
		exit(EXIT_FAILURE);
	}
	command_done(&r);
}

#define COMMAND(row, step, file, ...)                                                              \
	measure_command((row), (step), (const char *const[]){ __VA_ARGS__, NULL }, (file))

/* Takes the binding number @last out of what is in force, and puts it there again. */
static void measure_binding(struct row *row, size_t last)
{
	struct isomer_binding b = row->shape->binding(last);
	char label[16], prefix[PREFIX_TEXT_SIZE], ports[PORTS_TEXT_SIZE];

	snprintf(label, sizeof(label), "label%zu", (row->n - 1) % LABELS);
	binding_prefix_text(&b, prefix);
	binding_ports_text(&b, ports);
	/* So that the label stays, whose slots would have to be made again. */
	loader_ok("grant", label, "nobody", NULL);
	COMMAND(row, STEP_UNBIND, 0, "unbind", label, "tcp", prefix, ports);
	COMMAND(row, STEP_BIND, 0, "bind", label, "tcp", prefix, ports);
}

/* ---- the table ---- */

static void print_heading(FILE *out)
{
	fprintf(out, "\n| shape | bindings | index |");
	for (int i = 0; i < STEPS; i++)
		fprintf(out, " %s |", step_names[i]);
	fprintf(out, "\n|---|---|---|");
	for (int i = 0; i < STEPS; i++)
		fprintf(out, "---|");
	fprintf(out, "\n");
}

static void print_row(FILE *out, const struct row *row)
{
	fprintf(out, "| %s | %s | %.1f KB |", row->shape->name, row->size,
		(double)row->bytes / 1024);
	for (int i = 0; i < STEPS; i++)
		fprintf(out, " %.2f (%.2f) |", series_quartiles(&row->steps[i]).median / 1e6,
			series_minimum(&row->steps[i]) / 1e6);
	fprintf(out, "\n");
	fprintf(stderr, "%s: %s\n", row->shape->name, row->size);
}

/* ---- all of it ---- */

static void bench_row(struct dispatcher_fixture *f, struct row *row, unsigned int rounds)
{
	struct isomer_binding *set = calloc(row->n, sizeof(*set));
	/* Of which each replaces the other: they differ in one binding. */
	const int files[] = { make_file(row->shape, row->n, row->n - 1),
			      make_file(row->shape, row->n, row->n) };

	if (!set)
		figures_give_up("memory");
	for (size_t i = 0; i < row->n; i++) {
		set[i] = row->shape->binding(i);
		set[i].destination = i % LABELS;
	}
	loader_ok("load", NULL);
	for (unsigned int i = 0; i < rounds; i++) {
		measure_index(f, row, set);
		COMMAND(row, STEP_LOAD_BINDINGS, files[i % 2], "load-bindings", "/proc/self/fd/3");
		measure_binding(row, row->n - 1 + i % 2);
	}
	loader_ok("unload", NULL);
	close(files[0]);
	close(files[1]);
	free(set);
}

static void draw(const char *path, struct row rows[SHAPES][SIZES])
{
	static const char *const colours[SHAPES] = { "#0060ad", "#c04000", "#308020", "#8040a0" };
	static struct plot_curve curves[STEPS][SHAPES];
	FILE *gnuplot = plot_begin(path, STEPS);

	for (int step = 0; step < STEPS; step++) {
		for (int i = 0; i < SHAPES; i++) {
			curves[step][i] = (struct plot_curve){ .name = shapes[i].name,
							       .colour = colours[i],
							       .dash = 1 };
			for (size_t j = 0; j < SIZES && rows[i][j].n; j++)
				curve_add(&curves[step][i], (double)rows[i][j].n,
					  series_quartiles(&rows[i][j].steps[step]).median / 1e6);
		}
		plot_curves(gnuplot, step_names[step], "bindings", "ms", curves[step], SHAPES);
	}
	plot_end(gnuplot);
}

static void bench(const struct options *o, FILE *out)
{
	CLEANUP(dispatcher_fixture_freep)
	struct dispatcher_fixture *f = dispatcher_fixture_make(LABELS);
	static struct row rows[SHAPES][SIZES];

	print_heading(out);
	for (int i = 0; i < SHAPES; i++)
		for (size_t j = 0; j < SIZES && sizes[j].n <= o->largest; j++) {
			rows[i][j] =
				(struct row){ &shapes[i], sizes[j].text, sizes[j].n, .bytes = 0 };
			bench_row(f, &rows[i][j], o->rounds);
			print_row(out, &rows[i][j]);
		}
	if (o->plot)
		draw(o->plot, rows);
}

static bool parse(int argc, char **argv, struct options *ret)
{
	static const struct option known[] = { { "quick", no_argument, NULL, 'q' },
					       { "rounds", required_argument, NULL, 'r' },
					       { "write", required_argument, NULL, 'w' },
					       { "plot", required_argument, NULL, 'p' },
					       { 0 } };
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'q')
			ret->largest = 10000;
		else if (option == 'r')
			ret->rounds = figures_number(optarg, ROUNDS_MAX);
		else if (option == 'w')
			ret->document = optarg;
		else if (option == 'p')
			ret->plot = optarg;
		else
			return false;
	}
	return optind == argc && ret->rounds > 0;
}

int main(int argc, char **argv)
{
	struct options o = { .rounds = ROUNDS_DEFAULT, .largest = ISOMER_BINDINGS_MAX };
	CLEANUP_FREE char *table = NULL;
	size_t size;
	FILE *out = open_memstream(&table, &size);
	void *state = NULL;

	if (!parse(argc, argv, &o)) {
		fprintf(stderr, "%s", usage);
		return 2;
	}
	if (!out)
		figures_give_up("memory");
	if (o.plot)
		plot_need();
	(void)figures_begin(&state);
	bench(&o, out);
	fclose(out);
	printf("%s", table);
	if (o.document)
		document_write(o.document, "bench-growth", table);
	return netns_teardown(&state) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
