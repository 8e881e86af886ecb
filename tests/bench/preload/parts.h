/* SPDX-License-Identifier: BSD-3-Clause */
/* The parts of the benchmark: each prints a table in Markdown. */
#pragma once

#include <stdbool.h>

/** How long the start of a program takes under the library. */
void bench_start(unsigned rounds);

/** How long the calls take that the library stands in front of. */
void bench_calls(unsigned rounds);

/** Connections to nginx, by a binding and without. False: fewer than the aim. */
bool bench_connections(unsigned rounds);
