/* SPDX-License-Identifier: BSD-3-Clause */
/* The destinations that a dispatcher knows, in memory. Every label has all four of them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "loader/dispatcher.h"

#define DESTINATIONS_OF_LABEL 4

struct destination {
	struct isomer_destination_key key;
	uint32_t id;
};

/* Sorted by label, domain (ipv4 first) and protocol (tcp first): those of a label are neighbours.
 */
struct destinations {
	struct destination *entries;
	size_t n;
};

#define DESTINATIONS_NONE                                                                          \
	(struct destinations)                                                                      \
	{                                                                                          \
		.entries = NULL                                                                    \
	}

int destinations_read(const struct dispatcher *d, struct destinations *ret);
void destinations_done(struct destinations *set);

/** NULL when there is none. Valid until the set changes. */
const struct destination *destinations_find(const struct destinations *set, const char *label,
					    uint8_t domain, uint8_t protocol);

/** An array of @n_ids pointers into the set, NULL where an id is not used. The caller's to free;
 * NULL without memory. */
const struct destination **destinations_by_id(const struct destinations *set, uint32_t n_ids);

/** Adds to the set, not the dispatcher. */
int destinations_add(struct destinations *set, const struct destination *entries, size_t n);

void destination_key_init(struct isomer_destination_key *key, const char *label, uint8_t domain,
			  uint8_t protocol);

#define DESTINATION_TEXT_SIZE (ISOMER_LABEL_MAX + 16)

/** "foo:ipv4:tcp" */
void destination_text(const struct isomer_destination_key *key, char ret[DESTINATION_TEXT_SIZE]);
