/* SPDX-License-Identifier: BSD-3-Clause */
/* What there is of isomer's objects: in the state, whose pins tell of all of them that are right to
 * be there, and on the machine, where those are found that nobody has let go of.
 */
#pragma once

#include <stdint.h>

#include "support/netns.h"

struct census {
	uint64_t memlock; /* of what is in the state */
	/* In the state. Maps in maps live without pins. */
	unsigned int pins, maps, programs, links, entries;
	/* On the machine: maps of so many destinations, the programs that use them, and the links
	 * to the namespace. */
	unsigned int all_maps, all_programs, all_links;
};

/** Counts; fails the test when the state is not sound. @destinations: as the state was loaded with,
 * a number of which there is no other on the machine. */
struct census census_take(const struct netns_fixture *ns, uint32_t destinations);

/** Fails the test unless it becomes what it was @before, within 5 s: the kernel frees late. */
void census_returns_to(const struct netns_fixture *ns, uint32_t destinations,
		       const struct census *before);
