/* SPDX-License-Identifier: BSD-3-Clause */
#include "races/ruleset_world.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "loader/batch.h"
#include "loader/dispatcher.h"
#include "state/bpfsys.h"
#include "state/parse.h"
#include "support/explorer.h"
#include "support/host_program.h"

struct isomer_binding world_binding[SETS][SET_MAX];
size_t world_bindings[SETS];
struct ruleset world_compiled[SETS];

struct world *world(void)
{
	return explorer_world();
}

/* ---- maps and descriptors ---- */

static struct map *map_of(uint32_t id)
{
	explorer_check(id >= 1 && id <= world()->n_maps);
	return &world()->map[id - 1];
}

static uint32_t id_of_fd(int fd)
{
	explorer_check(fd >= 0 && fd < FDS && world()->owner[fd] == explorer_process() + 1);
	return world()->fd[fd];
}

void world_let_go(void)
{
	struct world *w = world();

	for (uint32_t id = 1; id <= w->n_maps; id++) {
		struct map *m = map_of(id);
		bool held = m->pinned || m->in_force;

		for (int place = 0; place < ISOMER_PLACES; place++)
			held = held || w->place[place] == id;
		for (int fd = 0; fd < FDS; fd++)
			held = held || w->fd[fd] == id;
		m->gone = m->gone || !held;
	}
}

static int64_t open_map(uint32_t id)
{
	struct world *w = world();
	int fd = 0;

	while (fd < FDS && w->fd[fd])
		fd++;
	assert_in_range(fd, 0, FDS - 1);
	w->fd[fd] = (uint8_t)id;
	w->owner[fd] = (uint8_t)(explorer_process() + 1);
	return fd;
}

int world_set_in_force(const struct world *w)
{
	for (uint32_t id = 1; id <= w->n_maps; id++)
		if (w->map[id - 1].in_force)
			return w->map[id - 1].set;
	return -1;
}

uint32_t world_id_in_force(const struct world *w)
{
	for (uint32_t id = 1; id <= w->n_maps; id++)
		if (w->map[id - 1].in_force)
			return id;
	return 0;
}

/* The map of a name such as "rules-7", or of a path that ends with it; 0 when it is not pinned. */
static uint32_t find_pin(const char *path)
{
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	const char *dash = strchr(name, '-');
	uint64_t id = 0;

	explorer_check(dash && isomer_parse_number(dash + 1, strlen(dash + 1), MAPS, &id) == 0);
	if (id == 0 || id > world()->n_maps || !map_of((uint32_t)id)->pinned)
		return 0;
	return (map_of((uint32_t)id)->kind == RULES) == !strncmp(name, "rules-", 6) ? (uint32_t)id
										    : 0;
}

/* ---- what loader/index.c calls ---- */

int kernel_close(int fd);
int kernel_unlink(const char *path);
DIR *kernel_opendir(const char *path);
struct dirent *kernel_readdir(DIR *dir);
int kernel_closedir(DIR *dir);
void *kernel_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
int kernel_munmap(void *memory, size_t size);
void *process_calloc(size_t n, size_t size);
void process_free(void *memory);
int process_compile(const struct isomer_binding *bindings, size_t n, struct ruleset *ret);
void process_done(struct ruleset *rs);

void *process_calloc(size_t n, size_t size)
{
	return explorer_alloc(n * size);
}

void process_free(void *memory)
{
	(void)memory;
}

static void *copy_of_pages(const struct ruleset *rs)
{
	size_t size = ruleset_pages(rs) * sizeof(struct isomer_page);

	return memcpy(explorer_alloc(size), rs->blocks, size);
}

/* The compiler is not what is tried here, and takes long. */
int process_compile(const struct isomer_binding *bindings, size_t n, struct ruleset *ret)
{
	const struct ruleset *rs = &world_compiled[bindings->destination];

	explorer_check(n == world_bindings[bindings->destination]);
	*ret = (struct ruleset){ copy_of_pages(rs), rs->n_blocks };
	return 0;
}

void process_done(struct ruleset *rs)
{
	(void)rs;
}

int kernel_close(int fd)
{
	int64_t r = 0;

	EXPLORER_CALL("close", r)
	{
		id_of_fd(fd);
		world()->fd[fd] = world()->owner[fd] = 0;
		world_let_go();
	}
	return (int)r;
}

int kernel_unlink(const char *path)
{
	int64_t r = 0;

	EXPLORER_CALL("unlink", r)
	{
		uint32_t id = find_pin(path);

		if (id) {
			map_of(id)->pinned = 0;
			world_let_go();
		} else {
			r = -1;
		}
	}
	return (int)r;
}

/* Only who holds the lock makes and removes pins, so it does not matter when they are read. */
struct folder {
	uint64_t next, pinned; /* ids, as a mask */
	uint8_t kind[MAPS];
	struct dirent entry;
};

DIR *kernel_opendir(const char *path)
{
	struct folder *f = explorer_alloc(sizeof(*f));
	struct {
		uint64_t pinned;
		uint8_t kind[MAPS];
	} a = { 0 };

	(void)path;
	EXPLORER_CALL("opendir", a)
	{
		for (uint32_t id = 1; id <= world()->n_maps; id++) {
			a.pinned |= (uint64_t)map_of(id)->pinned << id;
			a.kind[id - 1] = map_of(id)->kind;
		}
	}
	f->pinned = a.pinned;
	memcpy(f->kind, a.kind, sizeof(f->kind));
	return (DIR *)f;
}

struct dirent *kernel_readdir(DIR *dir)
{
	struct folder *f = (struct folder *)dir;

	for (f->next++; f->next <= MAPS; f->next++) {
		if (!(f->pinned >> f->next & 1))
			continue;
		snprintf(f->entry.d_name, sizeof(f->entry.d_name), "%s-%u",
			 f->kind[f->next - 1] == RULES ? "rules" : "list", (unsigned int)f->next);
		return &f->entry;
	}
	return NULL;
}

int kernel_closedir(DIR *dir)
{
	(void)dir;
	return 0;
}

static enum kind kind_of(const char *name)
{
	if (!strcmp(name, "list"))
		return LIST;
	return !strcmp(name, "rules") ? RULES : PAGES;
}

int bpf_map_create(enum bpf_map_type type, const char *name, __u32 key_size, __u32 value_size,
		   __u32 max_entries, const struct bpf_map_create_opts *opts)
{
	enum kind kind = kind_of(name);
	int64_t fd = 0;

	(void)type;
	(void)key_size;
	/* Or it would not fit into the map of maps. */
	explorer_check(kind != RULES || max_entries == 1);
	explorer_check(!(opts->map_flags & BPF_F_INNER_MAP) == (kind != PAGES));
	explorer_check(value_size ==
		       (kind == LIST ? sizeof(struct isomer_binding) : sizeof(struct isomer_page)));
	EXPLORER_CALL("makes a map", fd)
	{
		struct world *w = world();

		assert_in_range(w->n_maps, 0, MAPS - 1);
		assert_in_range(max_entries, 1, PAGES_MAX);
		w->map[w->n_maps++].kind = (uint8_t)kind;
		fd = open_map(w->n_maps);
	}
	return (int)fd;
}

int bpf_map_freeze(int fd)
{
	int64_t r = 0;

	EXPLORER_CALL("freezes a map", r)
	{
		map_of(id_of_fd(fd))->frozen = 1;
	}
	return (int)r;
}

/* A list, by who writes: to read what is there, or to put there what is being copied now. */
static struct isomer_binding *mapped;
static int mapped_fd; /* -1: for reading */

void *kernel_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	uint64_t set = 0;

	(void)at;
	(void)flags;
	(void)offset;
	mapped = explorer_alloc(size);
	mapped_fd = fd;
	if (protection & PROT_WRITE)
		return mapped;
	mapped_fd = -1;
	EXPLORER_CALL("maps a list", set)
	{
		explorer_check(map_of(id_of_fd(fd))->written && !map_of(id_of_fd(fd))->gone);
		set = map_of(id_of_fd(fd))->set;
	}
	memcpy(mapped, world_binding[set], sizeof(world_binding[set]));
	return mapped;
}

int kernel_munmap(void *memory, size_t size)
{
	int64_t r = 0;

	(void)memory;
	(void)size;
	if (mapped_fd < 0)
		return 0;
	EXPLORER_CALL("writes a list", r)
	{
		struct map *m = map_of(id_of_fd(mapped_fd));

		explorer_check(!m->frozen && m->kind == LIST);
		m->set = (uint8_t)mapped->destination;
		m->written = 1;
	}
	return (int)r;
}

/* The page with the number @i of an index, as its map has it. */
static struct isomer_page *page_of(const struct map *m, size_t i)
{
	struct isomer_page *copy = copy_of_pages(&world_compiled[m->set]);
	struct isomer_index_header *header = (struct isomer_index_header *)copy;

	header->list = m->list;
	header->place = m->place;
	return &copy[i];
}

int batch_write_array(int fd, const void *values, size_t size, size_t n)
{
	const struct isomer_index_header *header = values;
	const struct isomer_page *from = values;
	int64_t r = 0;

	explorer_check(size == sizeof(*from));
	for (size_t i = 0; i < n; i++)
		EXPLORER_CALL("writes a page", r)
		{
			struct map *m = map_of(id_of_fd(fd));

			explorer_check(!m->frozen && m->kind != LIST);
			m->written |= (uint8_t)(1 << i);
			m->list = (uint8_t)header->list;
			m->place = (uint8_t)header->place;
			m->set = map_of(m->list)->set;
			explorer_check(!memcmp(&from[i], page_of(m, i), size));
		}
	return (int)r;
}

/* A list, by who only reads. */
int batch_read_array(int fd, void *values, size_t size, size_t n)
{
	struct {
		uint64_t written, set;
	} a = { 0 };

	explorer_check(size == sizeof(world_binding[0][0]) && n <= SET_MAX);
	EXPLORER_CALL("reads a list", a)
	{
		a.written = map_of(id_of_fd(fd))->written;
		a.set = map_of(id_of_fd(fd))->set;
	}
	explorer_check(a.written && n == world_bindings[a.set]);
	memcpy(values, world_binding[a.set], n * size);
	return 0;
}

int dispatcher_open_pin(const struct dispatcher *d, const char *name, enum dispatcher_mode mode,
			int *ret_fd)
{
	int64_t fd = 0;

	(void)d;
	(void)mode;
	EXPLORER_CALL("opens a pin", fd)
	{
		uint32_t id = find_pin(name);

		fd = id ? open_map(id) : -ENOENT;
	}
	if (fd < 0)
		return (int)fd;
	*ret_fd = (int)fd;
	return 0;
}

int dispatcher_pin(const struct dispatcher *d, const char *name, int fd, mode_t mode)
{
	int64_t r = 0;

	(void)d;
	(void)mode;
	EXPLORER_CALL("pins", r)
	{
		map_of(id_of_fd(fd))->pinned = 1;
		explorer_check(find_pin(name) == id_of_fd(fd));
	}
	return (int)r;
}

int bpfsys_map_info(int fd, struct bpf_map_info *ret_info)
{
	uint64_t id = 0;

	EXPLORER_CALL("asks for an id", id)
	{
		id = id_of_fd(fd);
	}
	memset(ret_info, 0, sizeof(*ret_info));
	ret_info->id = (uint32_t)id;
	return 0;
}

static int lookup_in_force(void *value)
{
	uint64_t id = 0;

	EXPLORER_CALL("asks what is in force", id)
	{
		id = world_id_in_force(world());
	}
	if (!id)
		return -ENOENT;
	memcpy(value, &(uint32_t){ (uint32_t)id }, sizeof(uint32_t));
	return 0;
}

static int lookup_place(uint32_t place, void *value)
{
	uint64_t id = 0;

	explorer_check(place < ISOMER_PLACES);
	EXPLORER_CALL("asks what is in a place", id)
	{
		id = world()->place[place];
	}
	if (!id)
		return -ENOENT;
	memcpy(value, &(uint32_t){ (uint32_t)id }, sizeof(uint32_t));
	return 0;
}

int bpfsys_map_lookup(int fd, const void *key, void *value)
{
	struct map m = { 0 };
	uint32_t i;

	memcpy(&i, key, sizeof(i));
	if (fd == RULESET_FD)
		return lookup_in_force(value);
	if (fd == PAGES_FD)
		return lookup_place(i, value);
	EXPLORER_CALL("reads a header", m)
	{
		m = *map_of(id_of_fd(fd));
	}
	explorer_check(m.written & 1);
	memcpy(value, page_of(&m, 0), sizeof(struct isomer_page));
	return 0;
}

static int put_pages(uint32_t place, int inner)
{
	int64_t r = 0;

	explorer_check(place < ISOMER_PLACES);
	EXPLORER_CALL("puts pages into a place", r)
	{
		explorer_check(map_of(id_of_fd(inner))->kind == PAGES);
		world()->place[place] = (uint8_t)id_of_fd(inner);
		world_let_go();
	}
	return (int)r;
}

int bpfsys_map_delete(int fd, const void *key)
{
	int64_t r = 0;
	uint32_t place;

	memcpy(&place, key, sizeof(place));
	explorer_check(fd == PAGES_FD && place < ISOMER_PLACES);
	EXPLORER_CALL("takes pages away", r)
	{
		r = world()->place[place] ? 0 : -ENOENT;
		world()->place[place] = 0;
		world_let_go();
	}
	return (int)r;
}

/* Two calls: the new one is there, and the former cannot be seen by any packet any more. */
static int put_in_force(int inner)
{
	int64_t r = 0;

	EXPLORER_CALL("puts an index in force", r)
	{
		struct world *w = world();
		uint32_t former = world_id_in_force(w);

		if (former)
			map_of(former)->in_force = 0;
		explorer_check(map_of(id_of_fd(inner))->kind == RULES);
		map_of(id_of_fd(inner))->in_force = 1;
		for (int p = 0; p < PROCESSES; p++)
			w->seen[p] |= (uint8_t)(1 << world_set_in_force(w));
		w->outdated = w->under_way;
		w->updating = 1;
		world_let_go();
	}
	EXPLORER_CALL("has waited for packets", r)
	{
		if (world()->outdated)
			explorer_block();
		world()->updating = 0;
	}
	return (int)r;
}

int bpfsys_map_update(int fd, const void *key, const void *value, uint64_t flags)
{
	uint32_t place;
	int inner;

	memcpy(&place, key, sizeof(place));
	memcpy(&inner, value, sizeof(inner));
	explorer_check(flags == BPF_ANY && (fd == RULESET_FD || fd == PAGES_FD));
	return fd == RULESET_FD ? put_in_force(inner) : put_pages(place, inner);
}

/* Not used by what is tried here, but by what else is in the library of the state. */
int bpfsys_obj_get(const char *path, uint32_t flags, int *ret_fd)
{
	(void)path;
	(void)flags;
	(void)ret_fd;
	return -ENOENT;
}

/* ---- what the program calls ---- */

int64_t world_destination;

/* Whose first page it has: of the same index all others have to be. */
static uint8_t packet_list;

static void *read_page(uint32_t id, uint32_t i)
{
	struct map m = { 0 };
	size_t n;

	EXPLORER_CALL("the packet reads a page", m)
	{
		m = *map_of(id);
	}
	n = m.kind == RULES ? 1 : ruleset_pages(&world_compiled[m.set]);
	explorer_check(!m.gone && m.frozen && m.written == (1 << n) - 1);
	if (m.kind == RULES)
		packet_list = m.list;
	explorer_check(m.list == packet_list);
	return i < n ? page_of(&m, i) : NULL;
}

void *host_map_lookup(void *map, const void *key)
{
	static char inner[MAPS + 1]; /* addresses alone */
	uint64_t id = 0;
	uint32_t i;

	memcpy(&i, key, sizeof(i));
	if (map == (void *)ruleset) {
		EXPLORER_CALL("the packet looks what is in force", id)
		{
			id = world_id_in_force(world());
		}
		return id ? &inner[id] : NULL;
	}
	if (map == (void *)pages) {
		EXPLORER_CALL("the packet looks for pages", id)
		{
			id = world()->place[i];
		}
		return id ? &inner[id] : NULL;
	}
	if ((char *)map > inner && (char *)map <= inner + MAPS)
		return read_page((uint32_t)((char *)map - inner), i);
	if (map == (void *)sockets)
		world_destination = i;
	return NULL;
}

long host_sk_assign(void *ctx, void *sk, __u64 flags)
{
	(void)ctx;
	(void)sk;
	(void)flags;
	return -1;
}

long host_sk_release(void *sk)
{
	(void)sk;
	return 0;
}
