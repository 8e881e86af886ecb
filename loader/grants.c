/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/grants.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/batch.h"
#include "loader/label_files.h"
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

/* Of a label that is there. */
static void ids_of_label(const struct destinations *set, const char *label,
			 uint32_t ret[DESTINATIONS_OF_LABEL])
{
	for (int i = 0; i < DESTINATIONS_OF_LABEL; i++)
		ret[i] = destinations_find(set, label, label_parts[i].domain,
					   label_parts[i].protocol)
				 ->id;
}

int label_renew(const struct dispatcher *d, const struct destinations *set, const char *label)
{
	CLEANUP(close_parts) int fds[DESTINATIONS_OF_LABEL] = { -1, -1, -1, -1 };
	uint32_t ids[DESTINATIONS_OF_LABEL], values[DESTINATIONS_OF_LABEL];
	int r;

	ids_of_label(set, label, ids);
	r = label_stage(d, label, fds);
	for (int i = 0; i < DESTINATIONS_OF_LABEL; i++)
		values[i] = (uint32_t)fds[i];
	if (r == 0)
		r = batch_write_u32(d->sockets_fd, ids, values, DESTINATIONS_OF_LABEL);
	for (int i = 0; r == 0 && i < DESTINATIONS_OF_LABEL; i++)
		r = label_move(d, DISPATCHER_DIR_STAGING, ISOMER_DIR_LABELS, label, i);

	/* After a failure labels_repair() of the next writer finishes or undoes it. */
	return r < 0 ? r : label_unstage(d, label);
}
