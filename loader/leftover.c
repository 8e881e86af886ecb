/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/leftover.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/bpffs.h"
#include "loader/dispatcher.h"
#include "loader/lock.h"
#include "state/cleanup.h"
#include "state/state.h"

static int remove_dead(const char *path, const char *aside)
{
	/* Aside first, so that nobody finds it half removed. */
	if (rename(path, aside) < 0)
		return -errno;
	return bpffs_remove(aside);
}

int leftover_clear(const char *bpffs, const struct netns *ns, const char *path, enum leftover *ret,
		   char ret_aside[PATH_MAX])
{
	struct isomer_state st;
	int r;

	*ret = LEFTOVER_NONE;
	r = bpffs_unique(path, DISPATCHER_SUFFIX_STALE, ret_aside);
	if (r < 0)
		return r;
	r = isomer_state_open(bpffs, ns->inode, &st);
	if (r == -ENOENT)
		return 0;
	if (r == -EPERM) {
		*ret = LEFTOVER_MOVED_FOREIGN;
		return rename(path, ret_aside) < 0 ? -errno : 0;
	}
	if (r < 0 && r != -EPROTO)
		return r;

	if ((r < 0 || isomer_state_check_netns(&st, ns->cookie) != -EXDEV) &&
	    dispatcher_check_attached(path, ns->inode) != -ESTALE)
		return r < 0 ? r : -EALREADY;

	*ret = LEFTOVER_REMOVED_DEAD;
	return remove_dead(path, ret_aside);
}

/* Their makers hold the lock inside. One that has none yet is being made, or empty. */
static void sweep_folder(const char *path)
{
	CLEANUP_FD int lock_fd = -1;
	char lock[PATH_MAX];
	struct stat sb;
	pid_t holder;

	if (lstat(path, &sb) < 0 || sb.st_uid != geteuid())
		return;
	if (snprintf(lock, sizeof(lock), "%s/" ISOMER_DIR_LOCK, path) >= (int)sizeof(lock))
		return;
	if (lock_take(lock, 0, &lock_fd, &holder) == 0)
		(void)bpffs_remove(path);
}

void leftover_sweep(const char *bpffs, const char *path)
{
	CLEANUP_DIR DIR *dir = opendir(bpffs);
	const char *name = strrchr(path, '/') + 1;
	size_t len = strlen(name);
	struct dirent *entry;
	char found[PATH_MAX];

	while (dir && (entry = readdir(dir))) {
		const char *suffix = entry->d_name + len;

		if (strncmp(entry->d_name, name, len) ||
		    (strncmp(suffix, DISPATCHER_SUFFIX_NEW, strlen(DISPATCHER_SUFFIX_NEW)) &&
		     strncmp(suffix, DISPATCHER_SUFFIX_OLD, strlen(DISPATCHER_SUFFIX_OLD))))
			continue;
		if (snprintf(found, sizeof(found), "%s/%s", bpffs, entry->d_name) <
		    (int)sizeof(found))
			sweep_folder(found);
	}
}
