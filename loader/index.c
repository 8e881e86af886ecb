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

/* From user space the value of a map of maps reads as an id. Returns 0, -ENOENT for none. */
static int rules_in_force(const struct dispatcher *d, uint32_t *ret_id)
{
	uint32_t key = 0;

	return bpfsys_map_lookup(d->ruleset_fd, &key, ret_id);
}

int index_in_force(const struct dispatcher *d, uint32_t *ret_id)
{
	uint32_t id;
	int r = rules_in_force(d, &id);

	if (r < 0 && r != -ENOENT)
		return r;
	*ret_id = r == 0 ? id : 0;
	return 0;
}

static int read_header(const struct dispatcher *d, uint32_t rules, struct isomer_index_header *ret)
{
	CLEANUP_FD int fd = -1;
	char name[PIN_NAME_SIZE];
	uint32_t key = 0;
	int r;

	pin_name(ISOMER_PREFIX_RULES, rules, name);
	r = dispatcher_open_pin(d, name, DISPATCHER_READ, &fd);
	if (r < 0)
		return r;
	r = bpfsys_map_lookup(fd, &key, ret);
	if (r < 0)
		return r;
	return ret->magic == ISOMER_MAGIC && ret->schema == ISOMER_SCHEMA ? 0 : -EPROTO;
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
		r = rules_in_force(d, &rules);
		if (r == -ENOENT) {
			*ret = BINDINGS_NONE;
			return 0;
		}
		if (r == 0)
			r = read_header(d, rules, &header);
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

/* BPF_F_INNER_MAP lets each index have its own size. */
int index_create_map(const struct ruleset *rs, int *ret_fd)
{
	CLEANUP_FD int fd = -1;
	int r;

	r = create_array("rules", BPF_F_INNER_MAP | BPF_F_RDONLY_PROG, sizeof(*rs->blocks),
			 rs->n_blocks, &fd);
	if (r == 0)
		r = batch_write_array(fd, rs->blocks, sizeof(*rs->blocks), rs->n_blocks);
	return r < 0 ? r : freeze(&fd, ret_fd);
}

static int create_rules(const struct ruleset *rs, uint32_t list, int *ret_fd)
{
	((struct isomer_index_header *)rs->blocks)->list = list;
	return index_create_map(rs, ret_fd);
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
		r = create_rules(&rs, list, &rules_fd);
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

int index_sweep(const struct dispatcher *d)
{
	struct isomer_index_header header = { .list = 0 };
	CLEANUP_DIR DIR *dir = NULL;
	struct dirent *entry;
	uint32_t rules = 0, id;
	int r;

	r = rules_in_force(d, &rules); /* map ids start at 1 */
	if (r == 0)
		r = read_header(d, rules, &header);
	if (r < 0 && r != -ENOENT)
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
