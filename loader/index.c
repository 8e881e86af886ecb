/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/index.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "loader/batch.h"
#include "state/bpfsys.h"
#include "state/cleanup.h"
#include "state/parse.h"

/* How often a reader starts again when writers are faster. */
#define READ_ATTEMPTS 1000

#define PIN_NAME_SIZE 32

static void pin_name(const char *prefix, uint32_t id, char ret[PIN_NAME_SIZE])
{
	snprintf(ret, PIN_NAME_SIZE, "%s%u", prefix, id);
}

static int map_id(int fd, uint32_t *ret)
{
	struct bpf_map_info info;
	int r = bpfsys_map_info(fd, &info);

	if (r < 0)
		return r;
	*ret = info.id;
	return 0;
}

static void unlink_pin(const struct dispatcher *d, const char *prefix, uint32_t id)
{
	char name[PIN_NAME_SIZE], path[PATH_MAX];

	pin_name(prefix, id, name);
	if (isomer_state_file(&d->st, name, path) == 0)
		(void)unlink(path);
}

/* ---- reading ---- */

/* From user space the value of a map of maps reads as an id. */
int index_in_force(const struct dispatcher *d, uint32_t *ret_id)
{
	uint32_t key = 0, id;
	int r = bpfsys_map_lookup(d->ruleset_fd, &key, &id);

	if (r < 0 && r != -ENOENT)
		return r;
	*ret_id = r == 0 ? id : 0;
	return 0;
}

static int read_header(const struct dispatcher *d, uint32_t rules, struct isomer_index_header *ret)
{
	CLEANUP_FREE struct isomer_page *page = NULL;
	CLEANUP_FD int fd = -1;
	char name[PIN_NAME_SIZE];
	uint32_t key = 0;
	int r;

	pin_name(ISOMER_PREFIX_RULES, rules, name);
	r = dispatcher_open_pin(d, name, DISPATCHER_READ, &fd);
	if (r < 0)
		return r;
	page = calloc(1, sizeof(*page));
	if (!page)
		return -ENOMEM;
	r = bpfsys_map_lookup(fd, &key, page);
	if (r < 0)
		return r;
	memcpy(ret, page, sizeof(*ret));
	return ret->magic == ISOMER_MAGIC && ret->schema == ISOMER_SCHEMA ? 0 : -EPROTO;
}

/* With nothing in force @ret_rules is 0, and the header one that names nothing. Returns 0, -ENOENT
 * when a writer was faster, or another negative errno. */
static int header_in_force(const struct dispatcher *d, uint32_t *ret_rules,
			   struct isomer_index_header *ret)
{
	int r;

	r = index_in_force(d, ret_rules);
	if (r < 0)
		return r;
	if (*ret_rules)
		return read_header(d, *ret_rules, ret);
	*ret = (struct isomer_index_header){ .place = ISOMER_PLACES };
	return 0;
}

/* Mapping a list is ten times as fast as batches, but the kernel allows it only to who could write
 * the map, though it is frozen and the mapping for reading. In windows, so that the list does not
 * count twice in the memory of the process. */
#define WINDOW ((size_t)1 << 20)

static int copy_mapped(int fd, int protection, struct isomer_binding *entries, size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = n * sizeof(*entries);

	for (size_t offset = 0; offset < bytes; offset += WINDOW) {
		size_t part = bytes - offset < WINDOW ? bytes - offset : WINDOW;
		size_t length = (part + page - 1) / page * page;
		char *ours = (char *)entries + offset;
		void *theirs = mmap(NULL, length, protection, MAP_SHARED, fd, (off_t)offset);

		if (theirs == MAP_FAILED)
			return -errno;
		if (protection & PROT_WRITE)
			memcpy(theirs, ours, part);
		else
			memcpy(ours, theirs, part);
		munmap(theirs, length);
	}
	return 0;
}

static int copy_list(const struct dispatcher *d, int fd, struct isomer_binding *entries, size_t n)
{
	if (d->lock_fd < 0)
		return batch_read_array(fd, entries, sizeof(*entries), n);
	return copy_mapped(fd, PROT_READ, entries, n);
}

static int read_list(const struct dispatcher *d, const struct isomer_index_header *header,
		     struct bindings *ret)
{
	CLEANUP_FREE struct isomer_binding *entries = NULL;
	CLEANUP_FD int fd = -1;
	char name[PIN_NAME_SIZE];
	int r;

	pin_name(ISOMER_PREFIX_LIST, header->list, name);
	r = dispatcher_open_pin(d, name, d->lock_fd < 0 ? DISPATCHER_READ : DISPATCHER_WRITE, &fd);
	if (r < 0)
		return r;
	if (header->bindings == 0) {
		*ret = BINDINGS_NONE;
		return 0;
	}

	entries = calloc(header->bindings, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	r = copy_list(d, fd, entries, header->bindings);
	if (r < 0)
		return r;

	*ret = (struct bindings){ .entries = TAKE_PTR(entries), .n = header->bindings };
	return 0;
}

int index_read(const struct dispatcher *d, struct bindings *ret)
{
	struct isomer_index_header header;
	uint32_t rules;
	int r;

	for (int i = 0; i < READ_ATTEMPTS; i++) {
		r = header_in_force(d, &rules, &header);
		if (r == 0 && rules == 0) {
			*ret = BINDINGS_NONE;
			return 0;
		}
		if (r == 0)
			r = read_list(d, &header, ret);
		if (r != -ENOENT)
			return r;
	}
	return -EAGAIN;
}

/* ---- writing ---- */

/* There are no arrays without entries. */
static int create_array(const char *name, uint32_t flags, uint32_t size, size_t n, int *ret_fd)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = flags);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(uint32_t), size,
				n ? (uint32_t)n : 1, &options);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* Never written again: not by us either. */
static int freeze(int *fd, int *ret_fd)
{
	if (bpf_map_freeze(*fd) < 0)
		return -errno;
	*ret_fd = TAKE_FD(*fd);
	return 0;
}

static int create_list(const struct bindings *set, int *ret_fd)
{
	CLEANUP_FD int fd = -1;
	int r;

	r = create_array("list", BPF_F_MMAPABLE, sizeof(*set->entries), set->n, &fd);
	if (r < 0)
		return r;
	r = copy_mapped(fd, PROT_READ | PROT_WRITE, set->entries, set->n);
	if (r < 0)
		return r;
	return freeze(&fd, ret_fd);
}

static int create_pages(const char *name, uint32_t flags, const struct ruleset *rs, size_t n,
			int *ret_fd)
{
	CLEANUP_FD int fd = -1;
	int r;

	r = create_array(name, flags | BPF_F_MMAPABLE | BPF_F_RDONLY_PROG,
			 sizeof(struct isomer_page), n, &fd);
	if (r == 0)
		r = batch_write_array(fd, rs->blocks, sizeof(struct isomer_page), n);
	return r < 0 ? r : freeze(&fd, ret_fd);
}

/* BPF_F_INNER_MAP lets each index have as many pages as it needs. */
static int put_pages(const struct ruleset *rs, int pages_fd, uint32_t place)
{
	CLEANUP_FD int fd = -1;
	int r;

	r = create_pages("pages", BPF_F_INNER_MAP, rs, ruleset_pages(rs), &fd);
	return r < 0 ? r : bpfsys_map_update(pages_fd, &place, &fd, BPF_ANY);
}

int index_create(struct ruleset *rs, int pages_fd, uint32_t place, int *ret_fd)
{
	int r = 0;

	if (ruleset_pages(rs) > 1) {
		((struct isomer_index_header *)rs->blocks)->place = place;
		r = put_pages(rs, pages_fd, place);
	}
	return r < 0 ? r : create_pages("rules", 0, rs, 1, ret_fd);
}

/* The entry of `pages` that no packet looks into. */
static int free_place(const struct dispatcher *d, uint32_t *ret)
{
	struct isomer_index_header header;
	uint32_t rules;
	int r;

	r = header_in_force(d, &rules, &header);
	if (r < 0)
		return r;
	*ret = header.place == 0;
	return 0;
}

static int create_rules(const struct dispatcher *d, struct ruleset *rs, uint32_t list, int *ret_fd)
{
	uint32_t place = 0;
	int r;

	((struct isomer_index_header *)rs->blocks)->list = list;
	if (ruleset_pages(rs) > 1) {
		r = free_place(d, &place);
		if (r < 0)
			return r;
	}
	return index_create(rs, d->pages_fd, place, ret_fd);
}

/* Pins @fd by its id. */
static int pin_by_id(const struct dispatcher *d, const char *prefix, int fd, uint32_t *ret_id)
{
	char name[PIN_NAME_SIZE];
	int r;

	r = map_id(fd, ret_id);
	if (r < 0)
		return r;
	pin_name(prefix, *ret_id, name);
	return dispatcher_pin(d, name, fd, 0640);
}

int index_commit(const struct dispatcher *d, const struct bindings *set)
{
	CLEANUP(ruleset_done) struct ruleset rs = { .blocks = NULL };
	CLEANUP_FD int list_fd = -1, rules_fd = -1;
	uint32_t list, rules, key = 0;
	int r;

	r = ruleset_compile(set->entries, set->n, &rs);
	if (r < 0)
		return r;
	r = create_list(set, &list_fd);
	if (r == 0)
		r = pin_by_id(d, ISOMER_PREFIX_LIST, list_fd, &list);
	if (r == 0)
		r = create_rules(d, &rs, list, &rules_fd);
	if (r == 0)
		r = pin_by_id(d, ISOMER_PREFIX_RULES, rules_fd, &rules);
	/* The commit. It returns when no packet sees the former index any more. */
	if (r == 0)
		r = bpfsys_map_update(d->ruleset_fd, &key, &rules_fd, BPF_ANY);

	/* Now either the former pins are superfluous or the new ones are. */
	(void)index_sweep(d);
	return r;
}

static bool pin_id(const char *name, const char *prefix, uint32_t *ret_id)
{
	size_t len = strlen(prefix);
	uint64_t id;

	if (strncmp(name, prefix, len) ||
	    isomer_parse_number(name + len, strlen(name + len), UINT32_MAX, &id) < 0)
		return false;
	*ret_id = (uint32_t)id;
	return true;
}

/* Asked for first: a delete waits for packets. */
static int sweep_pages(const struct dispatcher *d, uint32_t in_force)
{
	for (uint32_t place = 0; place < ISOMER_PLACES; place++) {
		uint32_t id;
		int r;

		if (place == in_force)
			continue;
		r = bpfsys_map_lookup(d->pages_fd, &place, &id);
		if (r == 0)
			r = bpfsys_map_delete(d->pages_fd, &place);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return 0;
}

int index_sweep(const struct dispatcher *d)
{
	struct isomer_index_header header;
	CLEANUP_DIR DIR *dir = NULL;
	struct dirent *entry;
	uint32_t rules, id;
	int r;

	r = header_in_force(d, &rules, &header);
	if (r == -ENOENT)
		return 0; /* somebody took its pin away: what else is in force is not known */
	if (r == 0)
		r = sweep_pages(d, header.place);
	if (r < 0)
		return r;

	dir = opendir(d->st.path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (pin_id(entry->d_name, ISOMER_PREFIX_RULES, &id) && id != rules)
			unlink_pin(d, ISOMER_PREFIX_RULES, id);
		else if (pin_id(entry->d_name, ISOMER_PREFIX_LIST, &id) && id != header.list)
			unlink_pin(d, ISOMER_PREFIX_LIST, id);
	}
	return 0;
}
