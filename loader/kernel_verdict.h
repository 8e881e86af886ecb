/* SPDX-License-Identifier: BSD-3-Clause */
/* Asking the attached program itself, without a packet: BPF_PROG_TEST_RUN, Linux 5.13 and newer. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "loader/dispatcher.h"

/** Where a packet goes to: a destination address and port. */
struct target {
	uint8_t domain, protocol;
	uint8_t addr[16]; /* network order, IPv4 in the first four bytes */
	uint16_t port;
};

struct kernel_verdict {
	bool drop;
	uint64_t socket; /* cookie of the one that it chose, 0: none */
};

/** Runs the pinned program for the target, in the form that it does not count. Returns 0;
 * -EOPNOTSUPP where the kernel cannot; -EBUSY when it chose a member of a SO_REUSEPORT group, of
 * which it tells no more; or another negative errno. */
int kernel_verdict_ask(const struct dispatcher *d, const struct target *target,
		       struct kernel_verdict *ret);
