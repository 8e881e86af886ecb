/* SPDX-License-Identifier: BSD-3-Clause */
/* Shapes of sets of bindings: what operators have, and what hurts. */
#pragma once

#include <stddef.h>

#include <isomer/abi.h>

struct shape {
	const char *name;
	/* Binding number @i, different for every @i below two million. */
	struct isomer_binding (*binding)(size_t i);
};

extern const struct shape shapes[];

#define SHAPES 4
