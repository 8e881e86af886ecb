/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/metrics.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "state/bpfsys.h"

static const char *const error_names[ISOMER_ERRORS] = {
	[ISOMER_ERROR_BAD_SOCKET] = "bad_socket",
	[ISOMER_ERROR_OTHER_PROGRAM] = "other_program",
};

int metrics_reader_init(struct metrics_reader *reader, const struct dispatcher *d)
{
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 0)
		return cpus;
	reader->percpu = calloc((size_t)cpus, sizeof(*reader->percpu));
	if (!reader->percpu)
		return -ENOMEM;
	reader->fd = d->metrics_fd;
	reader->cpus = cpus;
	return 0;
}

void metrics_reader_done(struct metrics_reader *reader)
{
	free(reader->percpu);
	reader->percpu = NULL;
}

int metrics_read(struct metrics_reader *reader, uint32_t id, struct isomer_metrics *ret)
{
	struct isomer_metrics sum = { .lookups = 0 };
	int r;

	r = bpfsys_map_lookup(reader->fd, &id, reader->percpu);
	if (r < 0)
		return r;
	for (int cpu = 0; cpu < reader->cpus; cpu++) {
		sum.lookups += reader->percpu[cpu].lookups;
		sum.misses += reader->percpu[cpu].misses;
		for (int e = 0; e < ISOMER_ERRORS; e++)
			sum.errors[e] += reader->percpu[cpu].errors[e];
	}

	*ret = sum;
	return 0;
}

const char *metrics_error_name(enum isomer_error error)
{
	return error_names[error];
}

uint64_t metrics_total_errors(const struct isomer_metrics *metrics)
{
	uint64_t total = 0;

	for (int e = 0; e < ISOMER_ERRORS; e++)
		total += metrics->errors[e];
	return total;
}
