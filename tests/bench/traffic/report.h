/* SPDX-License-Identifier: BSD-3-Clause */
/* What the samples come to. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "bench/traffic/samples.h"

/** Prints what was measured, in Markdown. @thing: what is counted a second. False: an aim is not
 * met. */
bool report_table(FILE *out, const struct samples *s, const char *thing);

/** Draws it, as a panel of a plot. */
void report_bars(FILE *gnuplot, const struct samples *s, const char *thing);
