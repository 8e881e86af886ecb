/* SPDX-License-Identifier: BSD-3-Clause */
/* Counters in the text format of Prometheus. */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "loader/overview.h"
#include "loader/reload_record.h"

/** Writes all metrics to @out; errors stay with the stream. @o is NULL when the state could not be
 * read: then only what isomer-loader knows of itself is written. @reloads is NULL when no file of
 * bindings is watched. @errors: how often the state could not be read so far. */
void exposition_write(FILE *out, const struct overview *o, const struct reload_record *reloads,
		      uint64_t errors);
