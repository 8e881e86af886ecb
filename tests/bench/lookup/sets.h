/* SPDX-License-Identifier: BSD-3-Clause */
/* The sets of bindings that look-ups are measured in, and what is looked up. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <isomer/abi.h>

#include "support/ruleset_model.h"

/** How the bindings of a set look: prefix lengths and ports take turns. */
struct mix {
	const char *name;
	uint8_t domain;
	uint8_t first, middle, last; /* prefix lengths; middle 0: all from first to last */
	enum mix_ports {
		MIX_PORT,   /* 80 */
		MIX_PORTS,  /* 80, 443, all */
		MIX_RANGES, /* thousands of different ranges */
	} ports;
};

extern const struct mix mixes[];
extern const size_t n_mixes;

/** What becomes of a target. */
enum target_kind {
	TARGET_PORT,    /* taken by a binding of a port or of a range */
	TARGET_ALL,     /* taken by one of all ports */
	TARGET_INSIDE,  /* address in a bound prefix, port of no binding of it */
	TARGET_OUTSIDE, /* address in no prefix of this port */
	TARGET_KINDS,
};

extern const char *const target_names[TARGET_KINDS];

/** Makes @n bindings, all different, of destinations 0 to @destinations - 1. */
void set_make(const struct mix *mix, uint8_t protocol, size_t n, uint32_t destinations,
	      struct isomer_binding *ret);

/** A random target that may be of @kind: of other bindings the caller has to ask a program. */
struct model_lookup set_target(struct model_random *random, const struct mix *mix,
			       const struct isomer_binding *set, size_t n, enum target_kind kind);
