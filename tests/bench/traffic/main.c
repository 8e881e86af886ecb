/* SPDX-License-Identifier: BSD-3-Clause */
/* End to end on loopback: datagrams and new connections a second, by isomer and by what else brings
 * the traffic of thousands of addresses to one server. Prints tables in Markdown, and fails when an
 * aim is not met. Needs root, ip, and nft for the ways of nftables. In namespaces of its own.
 */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/document.h"
#include "bench/figures.h"
#include "bench/plot.h"
#include "bench/traffic/load.h"
#include "bench/traffic/report.h"
#include "bench/traffic/samples.h"
#include "state/cleanup.h"

#define ROUNDS_DEFAULT 51
#define ROUNDS_QUICK   21
#define QUICK_BINDINGS 10000

/* Of each way in a round. */
#define DATAGRAMS   (4 * WAY_TARGETS)
#define CONNECTIONS 512

static const char usage[] =
	"usage: bench_traffic [--quick] [--rounds N] [--resume FILE] [--write DOCUMENT]\n"
	"                     [--plot SVG]\n"
	"\n"
	"--quick            21 rounds, nothing with more than 10,000 bindings\n"
	"--rounds N         1 to 4096 instead of 51\n"
	"--resume FILE      keep each round in FILE, and go on behind those that it holds\n"
	"--write DOCUMENT   put the tables into it, too\n"
	"--plot SVG         draw them, too\n";

struct options {
	size_t rounds, bindings;
	const char *resume, *document, *plot;
};

#define PROTOCOLS 2

static const struct protocol {
	const char *name, *thing;
	uint8_t number;
} protocols[PROTOCOLS] = {
	{ "udp", "UDP packets", IPPROTO_UDP },
	{ "tcp", "new TCP connections", IPPROTO_TCP },
};

static double measure(struct place *p)
{
	if (*p->missing)
		return NAN;
	place_enter(p);
	return p->protocol == IPPROTO_UDP ? load_datagrams(p, DATAGRAMS)
					  : load_connections(p, CONNECTIONS);
}

static void make_place(const struct way *way, uint8_t protocol, struct place *ret)
{
	place_make(way, protocol, ret);
	if (*ret->missing)
		fprintf(stderr, "%s: not to be had here: %s\n", way->name, ret->missing);
	(void)measure(ret);
}

/* Each way once, beginning with another one each time. */
static void bench_round(struct place *places, const struct options *o, struct samples *s)
{
	double values[WAYS_MAX];

	for (size_t i = 0; i < n_ways; i++) {
		size_t turn = (i + s->rounds) % n_ways;

		values[turn] = places[turn].way ? measure(&places[turn]) : NAN;
	}
	samples_add(s, o->resume, values);
}

static void bench_protocol(const struct options *o, const struct protocol *protocol,
			   struct samples *s)
{
	struct place *places = calloc(n_ways, sizeof(*places));

	if (!places)
		figures_give_up("memory");
	for (size_t i = 0; i < n_ways; i++)
		if (ways[i].bindings <= o->bindings)
			make_place(&ways[i], protocol->number, &places[i]);
	while (s->rounds < o->rounds) {
		bench_round(places, o, s);
		fprintf(stderr, "\r%s: round %zu of %zu ", protocol->name, s->rounds, o->rounds);
	}
	fprintf(stderr, "\n");
	for (size_t i = 0; i < n_ways; i++)
		if (places[i].way)
			place_done(&places[i]);
	free(places);
}

static void draw(const char *path, const struct samples samples[PROTOCOLS])
{
	FILE *gnuplot = plot_begin(path, PROTOCOLS);

	for (size_t i = 0; i < PROTOCOLS; i++)
		report_bars(gnuplot, &samples[i], protocols[i].thing);
	plot_end(gnuplot);
}

static bool bench(const struct options *o, FILE *out)
{
	static struct samples samples[PROTOCOLS];
	bool met = true;

	for (size_t i = 0; i < PROTOCOLS; i++) {
		struct samples *s = &samples[i];

		s->protocol = protocols[i].name;
		s->bindings = o->bindings;
		if (o->resume)
			samples_read(s, o->resume);
		if (s->rounds < o->rounds)
			bench_protocol(o, &protocols[i], s);
		met = report_table(out, s, protocols[i].thing) && met;
	}
	if (o->plot)
		draw(o->plot, samples);
	return met;
}

static bool parse(int argc, char **argv, struct options *ret)
{
	static const struct option known[] = { { "quick", no_argument, NULL, 'q' },
					       { "rounds", required_argument, NULL, 'r' },
					       { "resume", required_argument, NULL, 'f' },
					       { "write", required_argument, NULL, 'w' },
					       { "plot", required_argument, NULL, 'p' },
					       { 0 } };
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'q')
			ret->bindings = QUICK_BINDINGS;
		else if (option == 'r' && figures_number(optarg, SERIES_MAX))
			ret->rounds = figures_number(optarg, SERIES_MAX);
		else if (option == 'f')
			ret->resume = optarg;
		else if (option == 'w')
			ret->document = optarg;
		else if (option == 'p')
			ret->plot = optarg;
		else
			return false;
	}
	if (!ret->rounds)
		ret->rounds = ret->bindings == QUICK_BINDINGS ? ROUNDS_QUICK : ROUNDS_DEFAULT;
	return optind == argc;
}

int main(int argc, char **argv)
{
	struct options o = { .bindings = SIZE_MAX };
	CLEANUP_FREE char *tables = NULL;
	size_t size;
	FILE *out = open_memstream(&tables, &size);
	void *state = NULL;
	bool met;

	if (!parse(argc, argv, &o)) {
		fprintf(stderr, "%s", usage);
		return 2;
	}
	if (!out)
		figures_give_up("memory");
	if (o.plot)
		plot_need();
	(void)figures_begin(&state);
	figures_stay_on_one_cpu();
	met = bench(&o, out);
	fclose(out);
	printf("%s", tables);
	if (o.document)
		document_write(o.document, "bench-traffic", tables);
	return netns_teardown(&state) < 0 || !met ? EXIT_FAILURE : EXIT_SUCCESS;
}
