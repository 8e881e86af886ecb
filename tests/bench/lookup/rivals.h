/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* What the programs that the dispatcher is compared with share with the benchmark. */
#pragma once

#include <linux/types.h>

#define RIVALS_DESTINATIONS 64

/** Key of the reference's trie. An IPv4 address is mapped into IPv6; port 0 is all ports. */
struct rival_key {
	__u32 prefixlen; /* of all that follows */
	__u16 protocol, port;
	__u32 addr[4]; /* network order */
};

#define RIVAL_KEY_PORTS 32 /* bits before the address */

struct rival_binding {
	__u32 destination, prefixlen;
};
