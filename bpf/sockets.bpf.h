/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* The map that the dispatcher and the programs of attachments share. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <isomer/abi.h>

/* Id of a destination -> its slots. The loader puts the slots here and gives them to their user,
 * who puts sockets into them; the dispatcher reads them, and attachments put listeners into them.
 * The loader sets max_entries. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, ISOMER_DESTINATIONS_DEFAULT);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_SOCKMAP);
			__uint(max_entries, ISOMER_SLOTS);
			__type(key, __u32);
			__type(value, __u64);
		});
} sockets SEC(".maps");
