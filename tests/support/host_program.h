/* SPDX-License-Identifier: BSD-3-Clause */
/* The dispatcher's program as a function of the host: bpf/dispatcher.bpf.c itself, compiled
 * unchanged, so that it cannot get out of step with what the kernel runs. A sanitizer sees each of
 * its accesses, and a test may stand in for the kernel between any two of its helper calls.
 */
#pragma once

#include <linux/bpf.h>

#include "support/ruleset_model.h"

/* SK_PASS or SK_DROP. */
int dispatcher(struct bpf_sk_lookup *ctx);

/* Its maps, of which only the addresses mean anything. */
extern char ruleset[], pages[], sockets[], metrics[];

/* What it calls, and the test defines. An inner map is whatever the lookup in the outer one
 * returned. */
void *host_map_lookup(void *map, const void *key);
long host_sk_assign(void *ctx, void *sk, __u64 flags);
long host_sk_release(void *sk);

/** A packet, as the program is shown it. */
struct bpf_sk_lookup host_packet(const struct model_lookup *l);
