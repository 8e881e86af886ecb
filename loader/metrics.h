/* SPDX-License-Identifier: BSD-3-Clause */
/* The counters of destinations. */
#pragma once

#include "loader/dispatcher.h"

struct metrics_reader {
	int fd, cpus;
	struct isomer_metrics *percpu;
};

/** Borrows the descriptor of @d. Returns 0 or -errno. */
int metrics_reader_init(struct metrics_reader *reader, const struct dispatcher *d);
void metrics_reader_done(struct metrics_reader *reader);

/** Sums the counters of the destination @id over all CPUs. Returns 0 or -errno. */
int metrics_read(struct metrics_reader *reader, uint32_t id, struct isomer_metrics *ret);

/** "bad_socket", "other_program". */
const char *metrics_error_name(enum isomer_error error);

uint64_t metrics_total_errors(const struct isomer_metrics *metrics);
