/* SPDX-License-Identifier: BSD-3-Clause */
#include "soak/census.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "state/bpfsys.h"
#include "state/cleanup.h"
#include "support/bpf_objects.h"
#include "support/state_checker.h"

#define IDS_MAX 64
#define LATE_MS 5000
#define TICK_MS 10

/* ---- in the state ---- */

struct count {
	struct census *census;
	uint32_t vacant;
};

static uint64_t memlock_of(int fd)
{
	char path[64], line[128];
	uint64_t bytes = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "memlock: %" SCNu64, &bytes);
	fclose(f);
	return bytes;
}

/* What is in a map of maps lives without a pin; but for the slots of ids that were given back,
 * which have one. */
static void add_inner(int fd, const struct count *count)
{
	struct bpf_map_info info;
	uint32_t key, inner;

	assert_int_equal(bpfsys_map_info(fd, &info), 0);
	if (info.type != BPF_MAP_TYPE_ARRAY_OF_MAPS)
		return;
	for (key = 0; key < info.max_entries; key++)
		count->census->entries +=
			bpfsys_map_lookup(fd, &key, &inner) == 0 && inner != count->vacant;
}

static void add_pin(const char *path, void *arg)
{
	const struct count *count = arg;
	struct census *c = count->census;
	enum object_kind kind;
	struct stat sb;
	CLEANUP_FD int fd = -1;

	assert_return_code(lstat(path, &sb), errno);
	if (S_ISDIR(sb.st_mode))
		return;
	c->pins++;
	fd = object_open(path, &kind);
	assert_return_code(fd, -fd);
	c->memlock += memlock_of(fd);
	c->maps += kind == OBJECT_MAP;
	c->programs += kind == OBJECT_PROGRAM;
	c->links += kind == OBJECT_LINK;
	if (kind == OBJECT_MAP)
		add_inner(fd, count);
}

/* ---- on the machine ---- */

struct ids {
	uint32_t id[IDS_MAX];
	unsigned int n;
};

static bool has_any(const struct ids *ids, const uint32_t *id, int n)
{
	for (int i = 0; i < n; i++)
		for (unsigned int j = 0; j < ids->n; j++)
			if (id[i] == ids->id[j])
				return true;
	return false;
}

/* What is still there, but on its way out, cannot be opened any more. */
static int next_open(enum object_kind kind, uint32_t *id)
{
	int fd = -ENOENT;

	while (fd == -ENOENT && object_next(kind, *id, id) == 0)
		fd = object_open_id(kind, *id);
	return fd;
}

static void find_maps(uint32_t destinations, struct ids *ids)
{
	uint32_t id = 0;
	int fd;

	while ((fd = next_open(OBJECT_MAP, &id)) >= 0) {
		struct bpf_map_info info;

		assert_int_equal(bpfsys_map_info(fd, &info), 0);
		close(fd);
		if (info.max_entries != destinations)
			continue;
		assert_true(ids->n < IDS_MAX);
		ids->id[ids->n++] = id;
	}
	assert_int_equal(fd, -ENOENT);
}

static unsigned int count_programs(const struct ids *maps)
{
	unsigned int n = 0;
	uint32_t id = 0;
	int fd;

	while ((fd = next_open(OBJECT_PROGRAM, &id)) >= 0) {
		uint32_t used[IDS_MAX];

		n += has_any(maps, used, object_program_maps(fd, used, IDS_MAX));
		close(fd);
	}
	assert_int_equal(fd, -ENOENT);
	return n;
}

static unsigned int count_links(uint64_t netns_inode)
{
	unsigned int n = 0;
	uint32_t id = 0;
	int fd;

	while ((fd = next_open(OBJECT_LINK, &id)) >= 0) {
		struct bpf_link_info info;

		if (object_link_info(fd, &info) == 0 && info.type == BPF_LINK_TYPE_NETNS)
			n += info.netns.netns_ino == netns_inode;
		close(fd);
	}
	assert_int_equal(fd, -ENOENT);
	return n;
}

/* ---- both ---- */

struct census census_take(const struct netns_fixture *ns, uint32_t destinations)
{
	struct census census = { 0 };
	struct count count = { &census, state_map_id(ns, "vacant") };
	struct ids maps = { .n = 0 };

	state_check(ns);
	state_walk(ns->bpffs, add_pin, &count);
	find_maps(destinations, &maps);
	census.all_maps = maps.n;
	census.all_programs = count_programs(&maps);
	census.all_links = count_links(ns->netns_inode);
	return census;
}

void census_returns_to(const struct netns_fixture *ns, uint32_t destinations,
		       const struct census *before)
{
	struct census now = census_take(ns, destinations);

	for (int ms = 0; memcmp(&now, before, sizeof(now)) && ms < LATE_MS; ms += TICK_MS) {
		poll(NULL, 0, TICK_MS);
		now = census_take(ns, destinations);
	}
	printf("%u pins, %u maps, %u programs, %u links, %u maps in maps, %" PRIu64
	       " bytes locked; on the machine %u maps, %u programs, %u links\n",
	       now.pins, now.maps, now.programs, now.links, now.entries, now.memlock, now.all_maps,
	       now.all_programs, now.all_links);
	assert_int_equal(now.all_maps, before->all_maps);
	assert_int_equal(now.all_programs, before->all_programs);
	assert_int_equal(now.all_links, before->all_links);
	assert_memory_equal(&now, before, sizeof(now)); /* no gaps */
}
