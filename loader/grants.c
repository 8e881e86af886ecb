/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/grants.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/batch.h"
#include "loader/label_files.h"
#include "state/bpfsys.h"
#include "state/cleanup.h"

static void close_parts(int (*fds)[DESTINATIONS_OF_LABEL])
{
	for (int i = 0; i < DESTINATIONS_OF_LABEL; i++)
		cleanup_closep(&(*fds)[i]);
}

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

/* The slot maps that are in force. */
static int open_slots(const struct dispatcher *d, const char *label,
		      int ret_fds[DESTINATIONS_OF_LABEL])
{
	char path[PATH_MAX];
	int r = 0;

	for (int i = 0; i < DESTINATIONS_OF_LABEL; i++)
		ret_fds[i] = -1;
	for (int i = 0; r == 0 && i < DESTINATIONS_OF_LABEL; i++) {
		r = label_path(d, ISOMER_DIR_LABELS, label, i, path);
		if (r == 0)
			r = bpfsys_obj_get(path, 0, &ret_fds[i]);
	}
	return r;
}

/* Puts the maps into `sockets`, all of them with one grace period. */
static int put_in_force(const struct dispatcher *d, const struct destinations *set,
			const char *label, const int fds[DESTINATIONS_OF_LABEL])
{
	uint32_t ids[DESTINATIONS_OF_LABEL], values[DESTINATIONS_OF_LABEL];

	for (int i = 0; i < DESTINATIONS_OF_LABEL; i++) {
		ids[i] = destinations_find(set, label, label_parts[i].domain,
					   label_parts[i].protocol)
				 ->id;
		values[i] = (uint32_t)fds[i];
	}
	return batch_write_u32(d->sockets_fd, ids, values, DESTINATIONS_OF_LABEL);
}

/* Moves what is staged into its place. */
static int finish(const struct dispatcher *d, const char *label)
{
	int r = 0;

	for (int i = 0; r == 0 && i < DESTINATIONS_OF_LABEL; i++) {
		r = label_move(d, DISPATCHER_DIR_STAGING, ISOMER_DIR_LABELS, label, i);
		r = r == -ENOENT ? 0 : r; /* moved already, by who was killed then */
	}
	return r < 0 ? r : label_unstage(d, label);
}

/* Is the map pinned as part @part of staging/<label>/ in force? */
static bool staged_in_force(const struct dispatcher *d, const struct destinations *set,
			    const char *label, int part)
{
	const struct destination *entry =
		destinations_find(set, label, label_parts[part].domain, label_parts[part].protocol);
	CLEANUP_FD int fd = -1;
	struct bpf_map_info info;
	char path[PATH_MAX];
	uint32_t id;

	return entry && label_path(d, DISPATCHER_DIR_STAGING, label, part, path) == 0 &&
	       bpfsys_obj_get(path, BPF_F_RDONLY, &fd) == 0 && bpfsys_map_info(fd, &info) == 0 &&
	       bpfsys_map_lookup(d->sockets_fd, &entry->id, &id) == 0 && id == info.id;
}

int label_repair_grant(const struct dispatcher *d, const struct destinations *set,
		       const char *label)
{
	for (int i = 0; i < DESTINATIONS_OF_LABEL; i++)
		if (staged_in_force(d, set, label, i))
			return finish(d, label);
	return label_unstage(d, label);
}

int label_set_grant(const struct dispatcher *d, const struct destinations *set, const char *label,
		    const struct label_grant *grant, bool renew)
{
	struct label_pins pins = { .uid = geteuid(), .gid = getegid(), .mode = SLOTS_MODE };
	int r;

	if (grant)
		pins.uid = grant->uid;
	if (grant && grant->has_group) {
		pins.gid = grant->gid;
		pins.mode = SLOTS_MODE_GROUP;
	}

	r = renew ? label_create_slots(pins.fds) : open_slots(d, label, pins.fds);
	if (r == 0)
		r = label_stage(d, label, true, &pins);
	if (r == 0)
		r = label_stage_commit(d, label);
	if (r == 0 && renew)
		r = put_in_force(d, set, label, pins.fds);
	close_parts(&pins.fds);
	if (r < 0) {
		(void)label_unstage(d, NULL);
		(void)label_unstage(d, label);
		return r;
	}
	return finish(d, label);
}
