/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/program.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "dispatcher.skel.h"
#include "state/cleanup.h"

struct program {
	struct dispatcher_bpf *skel;
};

static struct bpf_map *map_of(const struct program *p, enum program_map map)
{
	switch (map) {
	case PROGRAM_INFO:
		return p->skel->maps.info;
	case PROGRAM_RULESET:
		return p->skel->maps.ruleset;
	case PROGRAM_PAGES:
		return p->skel->maps.pages;
	case PROGRAM_DESTINATIONS:
		return p->skel->maps.destinations;
	case PROGRAM_SOCKETS:
		return p->skel->maps.sockets;
	default:
		return p->skel->maps.metrics;
	}
}

static int prepare_map(struct program *p, enum program_map map, uint32_t max_destinations,
		       int reuse_fd)
{
	if (reuse_fd >= 0)
		return bpf_map__reuse_fd(map_of(p, map), reuse_fd);
	if (map == PROGRAM_DESTINATIONS || map == PROGRAM_SOCKETS || map == PROGRAM_METRICS)
		return bpf_map__set_max_entries(map_of(p, map), max_destinations);
	return 0;
}

int program_load(uint32_t max_destinations, const int reuse[PROGRAM_MAPS], struct program **ret)
{
	CLEANUP(program_freep) struct program *p = calloc(1, sizeof(*p));
	int r = 0;

	if (!p)
		return -ENOMEM;
	p->skel = dispatcher_bpf__open();
	if (!p->skel)
		return -errno;
	for (int map = 0; r == 0 && map < PROGRAM_MAPS; map++)
		r = prepare_map(p, (enum program_map)map, max_destinations,
				reuse ? reuse[map] : -1);
	if (r == 0)
		r = dispatcher_bpf__load(p->skel);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(p);
	return 0;
}

void program_free(struct program *p)
{
	if (!p)
		return;
	dispatcher_bpf__destroy(p->skel);
	free(p);
}

void program_freep(struct program **p)
{
	program_free(*p);
}

int program_fd(const struct program *p)
{
	return bpf_program__fd(p->skel->progs.dispatcher);
}

int program_map_fd(const struct program *p, enum program_map map)
{
	return bpf_map__fd(map_of(p, map));
}
