/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* The maps of the dispatcher. None carries a pinning attribute: the loader pins them itself, so
 * that a load that fails leaves nothing behind. Layouts: isomer/abi.h.
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <isomer/abi.h>

#include "sockets.bpf.h"

/* The first page of the index in force. Written by the loader, one update for each change of the
 * bindings; read by the dispatcher, without a call, as all are of one size. Nobody maps it, but of
 * a map that can be mapped the kernel aligns the values, and lines of the index are lines of the
 * cache. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(map_flags, BPF_F_MMAPABLE | BPF_F_RDONLY_PROG);
			__uint(max_entries, 1);
			__uint(key_size, sizeof(__u32));
			/* By size: clang 14 leaves a type that only an inner map names
			 * without its members. */
			__uint(value_size, sizeof(struct isomer_page));
		});
} ruleset SEC(".maps");

/* All pages of an index that has more. Written by the loader where the index in force does not
 * look, read by the dispatcher. BPF_F_INNER_MAP lets every index have as many as it needs. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, ISOMER_PLACES);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE | BPF_F_RDONLY_PROG);
			__uint(max_entries, 1);
			__uint(key_size, sizeof(__u32));
			__uint(value_size, sizeof(struct isomer_page));
		});
} pages SEC(".maps");

/* Id of a destination -> its counters. Written by the dispatcher, set to 0 by the loader when an
 * id is given again; read by the loader, which sets max_entries. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ISOMER_DESTINATIONS_DEFAULT);
	__type(key, __u32);
	__type(value, struct isomer_metrics);
} metrics SEC(".maps");

/* (label, domain, protocol) -> id. Written by the loader, which sets max_entries; read by the
 * loader and by whoever registers. The dispatcher has no use for it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, ISOMER_DESTINATIONS_DEFAULT);
	__type(key, struct isomer_destination_key);
	__type(value, struct isomer_destination);
} destinations SEC(".maps");

/* What this dispatcher is. Written once by the loader, read by everybody but the dispatcher. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct isomer_info);
} info SEC(".maps");
