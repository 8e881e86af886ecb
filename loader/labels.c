/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/labels.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "loader/batch.h"
#include "loader/bpffs.h"
#include "state/bpfsys.h"
#include "state/cleanup.h"
#include "state/label.h"
#include "state/parse.h"
#include "state/slots.h"

/* Everybody may open a slot map for reading; writing is what a grant gives. */
#define SLOTS_MODE        0644
#define SLOTS_MODE_GROUP  0664
#define LABEL_FOLDER_MODE 0711

static const struct {
	uint8_t domain, protocol;
} parts[DESTINATIONS_OF_LABEL] = {
	{ AF_INET, IPPROTO_TCP },
	{ AF_INET, IPPROTO_UDP },
	{ AF_INET6, IPPROTO_TCP },
	{ AF_INET6, IPPROTO_UDP },
};

/* "<folder>/<label>" or, with @part, "<folder>/<label>/<domain>-<protocol>", below the state. */
static int label_path(const struct dispatcher *d, const char *folder, const char *label, int part,
		      char ret[PATH_MAX])
{
	char name[ISOMER_LABEL_NAME_SIZE];
	int n, r;

	r = isomer_label_to_name(label, name);
	if (r < 0)
		return r;
	if (part < 0)
		n = snprintf(ret, PATH_MAX, "%s/%s/%s", d->st.path, folder, name);
	else
		n = snprintf(ret, PATH_MAX, "%s/%s/%s/%s-%s", d->st.path, folder, name,
			     isomer_domain_name(parts[part].domain),
			     isomer_protocol_name(parts[part].protocol));
	return n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static void close_parts(int (*fds)[DESTINATIONS_OF_LABEL])
{
	for (int i = 0; i < DESTINATIONS_OF_LABEL; i++)
		cleanup_closep(&(*fds)[i]);
}

/* Makes four slot maps and pins them in staging/<label>/. */
static int stage_slots(const struct dispatcher *d, const char *label,
		       int ret_fds[DESTINATIONS_OF_LABEL])
{
	char path[PATH_MAX];
	int r;

	r = label_path(d, DISPATCHER_DIR_STAGING, label, -1, path);
	if (r == 0)
		r = bpffs_mkdir(path, LABEL_FOLDER_MODE);
	for (int i = 0; r == 0 && i < DESTINATIONS_OF_LABEL; i++) {
		ret_fds[i] = bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "slots", sizeof(uint32_t),
					    sizeof(uint64_t), ISOMER_SLOTS, NULL);
		r = ret_fds[i] < 0 ? -errno : label_path(d, DISPATCHER_DIR_STAGING, label, i, path);
		if (r == 0)
			r = bpf_obj_pin(ret_fds[i], path);
		if (r == 0 && chmod(path, SLOTS_MODE) < 0)
			r = -errno;
	}
	return r;
}

/* ---- ids ---- */

static int compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The lowest four that no destination has. */
static int find_free_ids(const struct dispatcher *d, const struct destinations *set,
			 uint32_t ret[DESTINATIONS_OF_LABEL])
{
	CLEANUP_FREE uint32_t *used = calloc(set->n + 1, sizeof(*used));
	size_t found = 0, next = 0;

	if (!used)
		return -ENOMEM;
	for (size_t i = 0; i < set->n; i++)
		used[i] = set->entries[i].id;
	qsort(used, set->n, sizeof(*used), compare_ids);

	for (uint32_t id = 0; id < d->st.info.max_destinations; id++) {
		if (next < set->n && used[next] == id) {
			next++;
			continue;
		}
		ret[found++] = id;
		if (found == DESTINATIONS_OF_LABEL)
			return 0;
	}
	return -ENOSPC;
}

/* Whoever had the id before leaves no counts behind. */
static int clear_metrics(const struct dispatcher *d, uint32_t id)
{
	CLEANUP_FREE struct isomer_metrics *zero = NULL;
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 0)
		return cpus;
	zero = calloc((size_t)cpus, sizeof(*zero));
	if (!zero)
		return -ENOMEM;
	return bpfsys_map_update(d->metrics_fd, &id, zero, BPF_ANY);
}

/* ---- create and drop ---- */

/* Undoes a label as far as it got; also its end, once its folder has left labels/. */
static int forget(const struct dispatcher *d, const struct destinations *set, const char *label)
{
	char path[PATH_MAX];
	int r, failed = 0;

	for (size_t i = 0; i < set->n; i++) {
		const struct destination *entry = &set->entries[i];

		if (strcmp(entry->key.label, label))
			continue;
		/* The slots first: an id without an entry may be given again. */
		r = bpfsys_map_delete(d->sockets_fd, &entry->id);
		if (r == 0 || r == -ENOENT)
			r = bpfsys_map_delete(d->destinations_fd, &entry->key);
		if (r < 0 && r != -ENOENT)
			failed = r;
	}
	r = label_path(d, DISPATCHER_DIR_STAGING, label, -1, path);
	if (r == 0)
		r = bpffs_remove(path);
	return failed ? failed : r;
}

static int announce(const struct dispatcher *d, struct destinations *set, const char *label,
		    const uint32_t ids[DESTINATIONS_OF_LABEL])
{
	struct destination entry;
	int r = 0;

	for (int i = 0; r == 0 && i < DESTINATIONS_OF_LABEL; i++) {
		struct isomer_destination value = { .id = ids[i] };

		destination_key_init(&entry.key, label, parts[i].domain, parts[i].protocol);
		entry.id = ids[i];
		r = clear_metrics(d, ids[i]);
		if (r == 0)
			r = destinations_add(set, &entry);
		if (r == 0)
			r = bpfsys_map_update(d->destinations_fd, &entry.key, &value, BPF_NOEXIST);
	}
	return r;
}

static int move(const struct dispatcher *d, const char *from, const char *to, const char *label,
		int part)
{
	char source[PATH_MAX], target[PATH_MAX];
	int r;

	r = label_path(d, from, label, part, source);
	if (r == 0)
		r = label_path(d, to, label, part, target);
	if (r < 0)
		return r;
	return rename(source, target) < 0 ? -errno : 0;
}

int label_create(const struct dispatcher *d, struct destinations *set, const char *label)
{
	CLEANUP(close_parts) int fds[DESTINATIONS_OF_LABEL] = { -1, -1, -1, -1 };
	uint32_t ids[DESTINATIONS_OF_LABEL], values[DESTINATIONS_OF_LABEL];
	int r;

	if (destinations_find(set, label, parts[0].domain, parts[0].protocol))
		return 0;
	r = find_free_ids(d, set, ids);
	if (r < 0)
		return r;

	r = stage_slots(d, label, fds);
	for (int i = 0; i < DESTINATIONS_OF_LABEL; i++)
		values[i] = (uint32_t)fds[i];
	if (r == 0)
		r = announce(d, set, label, ids);
	if (r == 0)
		r = batch_write_u32(d->sockets_fd, ids, values, DESTINATIONS_OF_LABEL);
	if (r == 0)
		r = move(d, DISPATCHER_DIR_STAGING, ISOMER_DIR_LABELS, label, -1);
	if (r < 0) {
		(void)forget(d, set, label);
		destinations_remove_label(set, label);
	}
	return r;
}

int label_drop(const struct dispatcher *d, struct destinations *set, const char *label)
{
	int r;

	r = move(d, ISOMER_DIR_LABELS, DISPATCHER_DIR_STAGING, label, -1);
	if (r < 0)
		return r;
	r = forget(d, set, label);
	destinations_remove_label(set, label);
	return r;
}

/* ---- collect ---- */

int destination_read_slots(const struct dispatcher *d, const struct isomer_destination_key *key,
			   uint64_t ret_cookies[ISOMER_SLOTS])
{
	CLEANUP_FD int fd = -1;
	char name[PATH_MAX];
	int r;

	r = isomer_slots_name(key->label, key->domain, key->protocol, name);
	if (r == 0)
		r = dispatcher_open_pin(d, name, DISPATCHER_READ, &fd);
	return r < 0 ? r : isomer_slots_read(fd, ret_cookies);
}

static int has_live_slot(const struct dispatcher *d, const struct isomer_destination_key *key)
{
	uint64_t cookies[ISOMER_SLOTS];
	int r;

	r = destination_read_slots(d, key, cookies);
	if (r < 0)
		return r;
	for (int i = 0; i < ISOMER_SLOTS; i++)
		if (cookies[i])
			return 1;
	return 0;
}

/* Returns 1 if the label of the destinations @first and following is needed, 0 if not, -errno. */
static int is_needed(const struct dispatcher *d, const struct destination *first, const bool *bound)
{
	struct label_grant grant;
	int r;

	for (int i = 0; i < DESTINATIONS_OF_LABEL; i++)
		if (bound[first[i].id])
			return 1;
	r = label_read_grant(d, first->key.label, &grant);
	if (r < 0 || grant.granted)
		return r < 0 ? r : 1;
	for (int i = 0; i < DESTINATIONS_OF_LABEL; i++) {
		r = has_live_slot(d, &first[i].key);
		if (r != 0)
			return r;
	}
	return 0;
}

int labels_collect(const struct dispatcher *d, struct destinations *set,
		   const struct bindings *bindings)
{
	CLEANUP_FREE bool *bound = calloc(d->st.info.max_destinations, sizeof(*bound));
	size_t i = 0;

	if (!bound)
		return -ENOMEM;
	for (size_t b = 0; b < bindings->n; b++)
		if (bindings->entries[b].destination < d->st.info.max_destinations)
			bound[bindings->entries[b].destination] = true;

	while (i + DESTINATIONS_OF_LABEL <= set->n) {
		char label[ISOMER_LABEL_MAX + 1];
		int r = is_needed(d, &set->entries[i], bound);

		if (r == 0) {
			snprintf(label, sizeof(label), "%s", set->entries[i].key.label);
			r = label_drop(d, set, label);
		} else if (r > 0) {
			i += DESTINATIONS_OF_LABEL;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- grants ---- */

int label_read_grant(const struct dispatcher *d, const char *label, struct label_grant *ret)
{
	char path[PATH_MAX];
	struct stat pin, folder;
	int r;

	r = label_path(d, ISOMER_DIR_LABELS, label, 0, path);
	if (r < 0)
		return r;
	if (stat(path, &pin) < 0 || stat(d->st.path, &folder) < 0)
		return -errno;

	*ret = (struct label_grant){ .uid = pin.st_uid, .has_group = pin.st_mode & S_IWGRP };
	ret->gid = ret->has_group ? pin.st_gid : 0;
	ret->granted = ret->has_group || pin.st_uid != folder.st_uid;
	return 0;
}

int label_grant(const struct dispatcher *d, const char *label, const struct label_grant *grant)
{
	gid_t gid = grant->has_group ? grant->gid : d->group;
	char path[PATH_MAX];

	for (int i = 0; i < DESTINATIONS_OF_LABEL; i++) {
		int r = label_path(d, ISOMER_DIR_LABELS, label, i, path);

		if (r < 0)
			return r;
		/* The mode first: a former group must not write once the owner is another. */
		if (chmod(path, SLOTS_MODE) < 0 || chown(path, grant->uid, gid) < 0 ||
		    (grant->has_group && chmod(path, SLOTS_MODE_GROUP) < 0))
			return -errno;
	}
	return 0;
}

static void ids_of_label(const struct destinations *set, const char *label,
			 uint32_t ret[DESTINATIONS_OF_LABEL])
{
	for (int i = 0; i < DESTINATIONS_OF_LABEL; i++)
		ret[i] = destinations_find(set, label, parts[i].domain, parts[i].protocol)->id;
}

int label_renew(const struct dispatcher *d, const struct destinations *set, const char *label)
{
	CLEANUP(close_parts) int fds[DESTINATIONS_OF_LABEL] = { -1, -1, -1, -1 };
	uint32_t ids[DESTINATIONS_OF_LABEL], values[DESTINATIONS_OF_LABEL];
	char path[PATH_MAX];
	int r;

	ids_of_label(set, label, ids);
	r = stage_slots(d, label, fds);
	for (int i = 0; i < DESTINATIONS_OF_LABEL; i++)
		values[i] = (uint32_t)fds[i];
	if (r == 0)
		r = batch_write_u32(d->sockets_fd, ids, values, DESTINATIONS_OF_LABEL);
	for (int i = 0; r == 0 && i < DESTINATIONS_OF_LABEL; i++)
		r = move(d, DISPATCHER_DIR_STAGING, ISOMER_DIR_LABELS, label, i);
	if (r < 0)
		return r; /* the next writer repairs */

	r = label_path(d, DISPATCHER_DIR_STAGING, label, -1, path);
	return r < 0 ? r : bpffs_remove(path);
}

/* ---- repair ---- */

static bool has_folder(const struct dispatcher *d, const char *label)
{
	char path[PATH_MAX];
	struct stat sb;

	return label_path(d, ISOMER_DIR_LABELS, label, -1, path) == 0 && stat(path, &sb) == 0;
}

/* Is the map pinned as part @part of staging/<label>/ the one in force? */
static bool staged_in_force(const struct dispatcher *d, const struct destinations *set,
			    const char *label, int part)
{
	const struct destination *entry =
		destinations_find(set, label, parts[part].domain, parts[part].protocol);
	CLEANUP_FD int fd = -1;
	struct bpf_map_info info;
	char path[PATH_MAX];
	uint32_t id;

	return entry && label_path(d, DISPATCHER_DIR_STAGING, label, part, path) == 0 &&
	       bpfsys_obj_get(path, BPF_F_RDONLY, &fd) == 0 && bpfsys_map_info(fd, &info) == 0 &&
	       bpfsys_map_lookup(d->sockets_fd, &entry->id, &id) == 0 && id == info.id;
}

/* What is staged for a label that is there was on its way in for label_renew(). */
static int repair_staged(const struct dispatcher *d, const struct destinations *set,
			 const char *label)
{
	char path[PATH_MAX];
	int r;

	if (!has_folder(d, label))
		return forget(d, set, label);
	for (int i = 0; i < DESTINATIONS_OF_LABEL; i++) {
		if (!staged_in_force(d, set, label, i))
			continue;
		r = move(d, DISPATCHER_DIR_STAGING, ISOMER_DIR_LABELS, label, i);
		if (r < 0)
			return r;
	}
	r = label_path(d, DISPATCHER_DIR_STAGING, label, -1, path);
	return r < 0 ? r : bpffs_remove(path);
}

int labels_repair(const struct dispatcher *d)
{
	CLEANUP(destinations_done) struct destinations set = DESTINATIONS_NONE;
	CLEANUP_DIR DIR *dir = NULL;
	char path[PATH_MAX], label[ISOMER_LABEL_NAME_SIZE];
	struct dirent *entry;
	int r;

	r = isomer_state_file(&d->st, DISPATCHER_DIR_STAGING, path);
	if (r < 0)
		return r;
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (isomer_label_from_name(entry->d_name, label) < 0)
			continue;
		if (!set.entries) {
			r = destinations_read(d, &set);
			if (r < 0)
				return r;
		}
		r = repair_staged(d, &set, label);
		if (r < 0)
			return r;
	}
	return 0;
}
