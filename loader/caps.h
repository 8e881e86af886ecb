/* SPDX-License-Identifier: BSD-3-Clause */
/* Capabilities: a command keeps what it names and drops the rest before it starts. */
#pragma once

#include <stdint.h>

#define CAPS(cap) (UINT64_C(1) << (cap))

/**
 * Drops from the permitted, effective and inheritable sets every capability that is not in @keep,
 * a set of CAPS(CAP_…). What the process never had is not added. Returns 0 or -errno.
 */
int caps_limit(uint64_t keep);
