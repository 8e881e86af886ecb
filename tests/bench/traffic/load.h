/* SPDX-License-Identifier: BSD-3-Clause */
/* Traffic of one thread, which is client and server by turns: no other processor and no wake-up is
 * part of what is measured. What does not arrive ends the program.
 */
#pragma once

#include <stddef.h>

#include "bench/traffic/ways.h"

/** Sends @n datagrams, each to the next target, 32 at a time, and receives them. The thread has to
 * be in @p's namespace. Returns nanoseconds a datagram: the mean of the middle half. */
double load_datagrams(struct place *p, size_t n);

/** Makes @n connections, each to the next target, and accepts and ends them; likewise. */
double load_connections(struct place *p, size_t n);
