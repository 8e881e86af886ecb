/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/bpffs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "state/cleanup.h"
#include "state/state.h"

#define BPF_FS_MAGIC 0xcafe4a11

static int is_bpffs(const char *path)
{
	struct statfs sfs;

	if (statfs(path, &sfs) < 0)
		return -errno;
	return (unsigned)sfs.f_type == BPF_FS_MAGIC;
}

static bool in_mount_namespace_of_init(void)
{
	struct stat self, init;

	return stat("/proc/self/ns/mnt", &self) == 0 && stat("/proc/1/ns/mnt", &init) == 0 &&
	       self.st_ino == init.st_ino && self.st_dev == init.st_dev;
}

int bpffs_look(const char *path)
{
	int r = is_bpffs(path);

	if (r != 0)
		return r < 0 ? r : 0;
	if (strcmp(path, ISOMER_BPFFS_DEFAULT))
		return -EMEDIUMTYPE;
	return in_mount_namespace_of_init() ? -EMEDIUMTYPE : -EXDEV;
}

int bpffs_ensure(const char *path, bool *ret_mounted)
{
	int r = bpffs_look(path);

	*ret_mounted = false;
	if (r != -EMEDIUMTYPE || strcmp(path, ISOMER_BPFFS_DEFAULT))
		return r;
	if (mount("bpf", path, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0711") < 0)
		return -errno;

	*ret_mounted = true;
	return 0;
}

bool bpffs_searchable(const char *path)
{
	struct stat sb;

	return stat(path, &sb) == 0 && (sb.st_mode & S_IXOTH);
}

int bpffs_mkdir(const char *path, unsigned mode)
{
	if (mkdir(path, mode) < 0)
		return -errno;
	return chmod(path, mode) < 0 ? -errno : 0;
}

/* State folders are three levels deep, so the recursion is. */
static int remove_entries(int dir_fd)
{
	CLEANUP_DIR DIR *dir = NULL;
	struct dirent *entry;

	dir = fdopendir(dir_fd);
	if (!dir) {
		close(dir_fd);
		return -errno;
	}
	while ((entry = readdir(dir))) {
		int fd, r;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0) == 0)
			continue;
		if (errno == ENOENT)
			continue;
		if (errno != EISDIR && errno != EPERM)
			return -errno;
		fd = openat(dirfd(dir), entry->d_name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		r = remove_entries(fd);
		if (r < 0)
			return r;
		if (unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR) < 0)
			return -errno;
	}
	return 0;
}

int bpffs_remove(const char *path)
{
	int fd, r;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = remove_entries(fd);
	if (r < 0)
		return r;
	return rmdir(path) < 0 ? -errno : 0;
}

int bpffs_unique(const char *path, const char *suffix, char ret[PATH_MAX])
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -errno;
	if (snprintf(ret, PATH_MAX, "%s%s%016" PRIx64, path, suffix, number) >= PATH_MAX)
		return -ENAMETOOLONG;
	return 0;
}
