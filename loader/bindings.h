/* SPDX-License-Identifier: BSD-3-Clause */
/* A set of bindings in memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <isomer/abi.h>

struct bindings {
	struct isomer_binding *entries;
	size_t n;
};

#define BINDINGS_NONE                                                                              \
	(struct bindings)                                                                          \
	{                                                                                          \
		.entries = NULL                                                                    \
	}

void bindings_done(struct bindings *set);

/** Have the two the same domain, protocol, prefix and ports? */
bool bindings_same_traffic(const struct isomer_binding *a, const struct isomer_binding *b);

/** In the order of bindings_sort(): 0 means the same traffic. */
int bindings_compare(const struct isomer_binding *a, const struct isomer_binding *b);

/** Index of the binding with the domain, protocol, prefix and ports of @key, or -1. */
ssize_t bindings_find(const struct bindings *set, const struct isomer_binding *key);

/** Returns 0, -ENOMEM, or -E2BIG beyond ISOMER_BINDINGS_MAX. */
int bindings_add(struct bindings *set, const struct isomer_binding *binding);

void bindings_remove(struct bindings *set, size_t index);

/** Sorts by protocol and domain, then in the order in which the data plane prefers them. */
void bindings_sort(struct bindings *set);

bool binding_all_ports(const struct isomer_binding *binding);

/* Sizes of texts, with the terminating NUL. */
#define PREFIX_TEXT_SIZE 64
#define PORTS_TEXT_SIZE  16

/** "127.0.0.0/8" */
void binding_prefix_text(const struct isomer_binding *binding, char ret[PREFIX_TEXT_SIZE]);

/** "80", "80-90", or "0" for all ports. */
void binding_ports_text(const struct isomer_binding *binding, char ret[PORTS_TEXT_SIZE]);

#define BINDING_TEXT_SIZE (ISOMER_LABEL_MAX + PREFIX_TEXT_SIZE + PORTS_TEXT_SIZE + 16)

/** "foo#tcp:[127.0.0.0/8]:4321" */
void binding_text(const struct isomer_binding *binding, const char *label,
		  char ret[BINDING_TEXT_SIZE]);
