/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/lookup/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/figures.h"
#include "bench/lookup/rivals.h"
#include "rivals.skel.h"

#define BATCH 65536

struct rivals {
	struct rivals_bpf *skeleton;
	int fds[PROGRAMS];
};

static void put_binding(const struct isomer_binding *b, struct rival_key *ret_key,
			struct rival_binding *ret_value)
{
	unsigned int mapped = b->domain == AF_INET ? 96 : 0;

	*ret_key = (struct rival_key){
		.prefixlen = RIVAL_KEY_PORTS + mapped + b->prefixlen,
		.protocol = b->protocol,
		.port = b->port_first == b->port_last ? b->port_first : 0,
	};
	if (mapped)
		memcpy((char *)ret_key->addr + 10, "\xff\xff", 2);
	memcpy((char *)ret_key->addr + mapped / 8, b->addr, mapped ? 4 : 16);
	*ret_value = (struct rival_binding){ b->destination, mapped + b->prefixlen };
}

static void fill(int map, const struct isomer_binding *set, size_t n)
{
	struct rival_key *keys = calloc(BATCH, sizeof(*keys));
	struct rival_binding *values = calloc(BATCH, sizeof(*values));

	if (!keys || !values)
		figures_give_up("memory");
	for (size_t done = 0; done < n;) {
		uint32_t count = n - done < BATCH ? (uint32_t)(n - done) : BATCH;

		for (uint32_t i = 0; i < count; i++)
			put_binding(&set[done + i], &keys[i], &values[i]);
		if (bpf_map_update_batch(map, keys, values, &count, NULL) < 0)
			figures_give_up("trie");
		done += count;
	}
	free(keys);
	free(values);
}

struct rivals *rivals_make(const struct isomer_binding *set, size_t n, const int *sockets)
{
	struct rivals *r = calloc(1, sizeof(*r));

	if (!r)
		figures_give_up("memory");
	r->skeleton = rivals_bpf__open();
	if (!r->skeleton || bpf_map__set_max_entries(r->skeleton->maps.bindings, (uint32_t)n) < 0 ||
	    rivals_bpf__load(r->skeleton) < 0)
		figures_give_up("programs");
	fill(bpf_map__fd(r->skeleton->maps.bindings), set, n);
	for (uint32_t i = 0; i < RIVALS_DESTINATIONS; i++) {
		uint64_t fd = (uint64_t)sockets[i];

		if (bpf_map__update_elem(r->skeleton->maps.sockets, &i, sizeof(i), &fd, sizeof(fd),
					 BPF_ANY) < 0)
			figures_give_up("sockets");
	}
	r->fds[PROGRAM_EMPTY] = bpf_program__fd(r->skeleton->progs.empty);
	r->fds[PROGRAM_ASSIGN] = bpf_program__fd(r->skeleton->progs.assign);
	r->fds[PROGRAM_REFERENCE] = bpf_program__fd(r->skeleton->progs.reference);
	return r;
}

int rivals_program(const struct rivals *r, enum program program)
{
	return r->fds[program];
}

void rivals_free(struct rivals *r)
{
	rivals_bpf__destroy(r->skeleton);
	free(r);
}
