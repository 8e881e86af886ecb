/* SPDX-License-Identifier: BSD-3-Clause */
/* Put in front of the product's code when it is compiled for the exploration of the slot protocol:
 * reading 16 slots is 16 calls, between any two of which others may make theirs. Three standbys for
 * at most three servers show what fifteen do.
 */
#pragma once

#include <isomer/abi.h>

#undef ISOMER_SLOTS
#define ISOMER_SLOTS 4
