/* SPDX-License-Identifier: BSD-3-Clause */
/* Stands in for libbpf's header of this name when the dispatcher's program is compiled for the
 * host: helpers are functions of the test (support/host_program.h), maps are names.
 */
#pragma once

#include <linux/bpf.h>

#define SEC(name)
#define __uint(name, value)  int(*name)[value]
#define __type(name, value)  __typeof__(value) *name
#define __array(name, value) __typeof__(value) *name[]
#undef __always_inline /* the kernel's headers have one without "inline" */
#define __always_inline inline __attribute__((always_inline))
#define barrier()       asm volatile("" ::: "memory")

/* Under names of their own: libbpf has functions of these. */
#define bpf_map_lookup_elem host_map_lookup
#define bpf_sk_assign       host_sk_assign
#define bpf_sk_release      host_sk_release

void *host_map_lookup(void *map, const void *key);
long host_sk_assign(void *ctx, void *sk, __u64 flags);
long host_sk_release(void *sk);
