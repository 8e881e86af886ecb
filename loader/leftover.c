/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/leftover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/bpffs.h"
#include "loader/dispatcher.h"
#include "loader/lock.h"
#include "state/cleanup.h"
#include "state/state.h"

/* Claims a folder, so that nobody sweeps it. Returns 0, -EWOULDBLOCK when it is somebody's, or
 * -errno. */
static int claim(const char *path, int *ret_fd)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat ours, there;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	/* Swept between its making and this? */
	if (fstat(fd, &ours) < 0 || lstat(path, &there) < 0 || ours.st_ino != there.st_ino)
		return -EWOULDBLOCK;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

#define ATTEMPTS 3

int leftover_make(const char *path, const char *suffix, char ret_path[PATH_MAX], int *ret_claim_fd)
{
	int r = 0;

	for (int i = 0; i < ATTEMPTS; i++) {
		r = bpffs_unique(path, suffix, ret_path);
		if (r == 0)
			r = bpffs_mkdir(ret_path, 0700);
		if (r == 0)
			r = claim(ret_path, ret_claim_fd);
		if (r != -EWOULDBLOCK && r != -ENOENT)
			break;
	}
	return r;
}

int leftover_remove(const char *path, const char *aside)
{
	CLEANUP_FD int claim_fd = -1;

	/* Best effort: two that remove the same thing do not hurt. */
	(void)claim(path, &claim_fd);
	if (rename(path, aside) < 0)
		return -errno;
	return bpffs_remove(aside);
}

/* Returns 0 when there is nothing at @path, -ESTALE when what is there is dead, -EPERM when it is
 * somebody else's, -EALREADY when it lives, -EPROTO when it lives and is of another schema, or
 * another negative errno. */
static int judge(const char *bpffs, const struct netns *ns, const char *path)
{
	struct isomer_state st;
	int r = isomer_state_open(bpffs, ns->inode, &st), attached;

	if (r == -ENOENT)
		return 0;
	if (r < 0 && r != -EPROTO)
		return r;
	if (r == 0 && isomer_state_check_netns(&st, ns->cookie) == -EXDEV)
		return -ESTALE;
	attached = dispatcher_check_attached(path, ns->inode);
	/* Who may not look has to be content with the cookie. */
	if (attached < 0 && attached != -EPERM && attached != -EACCES)
		return attached;
	return r < 0 ? r : -EALREADY;
}

/* What was found dead may have been replaced since, or upgraded: under the writers' lock nobody
 * does that. One that is half removed may lack the lock. */
static int remove_dead(const char *bpffs, const struct netns *ns, const char *path,
		       const char *aside)
{
	CLEANUP_FD int lock_fd = -1;
	char lock[PATH_MAX];
	pid_t holder;
	int r;

	if (snprintf(lock, sizeof(lock), "%s/" ISOMER_DIR_LOCK, path) >= (int)sizeof(lock))
		return -ENAMETOOLONG;
	r = lock_take(lock, lock_wait_seconds, &lock_fd, &holder);
	if (r < 0 && r != -ENOENT)
		return r;
	r = judge(bpffs, ns, path);
	return r == -ESTALE ? leftover_remove(path, aside) : r;
}

int leftover_clear(const char *bpffs, const struct netns *ns, const char *path, enum leftover *ret,
		   char ret_aside[PATH_MAX])
{
	int r;

	*ret = LEFTOVER_NONE;
	r = bpffs_unique(path, DISPATCHER_SUFFIX_STALE, ret_aside);
	if (r == 0)
		r = judge(bpffs, ns, path);
	if (r == -EPERM) {
		*ret = LEFTOVER_MOVED_FOREIGN;
		return rename(path, ret_aside) < 0 ? -errno : 0;
	}
	if (r != -ESTALE)
		return r;

	r = remove_dead(bpffs, ns, path, ret_aside);
	if (r == 0)
		*ret = LEFTOVER_REMOVED_DEAD;
	return r;
}

static void sweep_folder(const char *path)
{
	CLEANUP_FD int claim_fd = -1;
	struct stat sb;

	/* What is somebody else's was moved aside and said; it is not ours to remove. */
	if (lstat(path, &sb) < 0 || sb.st_uid != geteuid())
		return;
	if (claim(path, &claim_fd) == 0)
		(void)bpffs_remove(path);
}

static bool is_leftover(const char *suffix)
{
	static const char *const suffixes[] = { DISPATCHER_SUFFIX_NEW, DISPATCHER_SUFFIX_OLD,
						DISPATCHER_SUFFIX_STALE };

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (!strncmp(suffix, suffixes[i], strlen(suffixes[i])))
			return true;
	return false;
}

void leftover_sweep(const char *bpffs, const char *path)
{
	CLEANUP_DIR DIR *dir = opendir(bpffs);
	const char *name = strrchr(path, '/') + 1;
	size_t len = strlen(name);
	struct dirent *entry;
	char found[PATH_MAX];

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, name, len) || !is_leftover(entry->d_name + len))
			continue;
		if (snprintf(found, sizeof(found), "%s/%s", bpffs, entry->d_name) <
		    (int)sizeof(found))
			sweep_folder(found);
	}
}
