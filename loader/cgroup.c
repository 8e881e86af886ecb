/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <mntent.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "state/cleanup.h"

static void endmntentp(FILE **mounts)
{
	if (*mounts)
		endmntent(*mounts);
}

static void fclosep(FILE **file)
{
	if (*file)
		fclose(*file);
}

void cgroup_done(struct cgroup *cg)
{
	cleanup_closep(&cg->fd);
	cg->fd = -1;
}

/* Where the hierarchy is mounted: beside the old ones on many hosts. */
static int find_mount(char ret[PATH_MAX])
{
	CLEANUP(endmntentp) FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *m;

	while (mounts && (m = getmntent(mounts)))
		if (!strcmp(m->mnt_type, "cgroup2"))
			return snprintf(ret, PATH_MAX, "%s", m->mnt_dir) >= PATH_MAX ? -ENAMETOOLONG
										     : 0;
	return -ENODEV;
}

static int open_path(const char *path, struct cgroup *ret)
{
	struct cgroup cg = CGROUP_NONE;
	struct statfs fs;
	struct stat sb;
	int r = 0;

	cg.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cg.fd < 0)
		return -errno;
	if (fstatfs(cg.fd, &fs) < 0 || fstat(cg.fd, &sb) < 0 || !realpath(path, cg.path))
		r = -errno;
	else if (fs.f_type != CGROUP2_SUPER_MAGIC)
		r = -EMEDIUMTYPE;
	if (r < 0) {
		cgroup_done(&cg);
		return r;
	}

	cg.id = sb.st_ino; /* that is what it is, on 64 bits */
	*ret = cg;
	return 0;
}

static int join(const char *folder, const char *name, char ret[PATH_MAX])
{
	const char *slash = *name == '/' ? "" : "/";

	return snprintf(ret, PATH_MAX, "%s%s%s", folder, slash, name) >= PATH_MAX ? -ENAMETOOLONG
										  : 0;
}

int cgroup_open(const char *name, struct cgroup *ret)
{
	char mount[PATH_MAX], path[PATH_MAX];
	int r = open_path(name, ret), below;

	if (r != -ENOENT && r != -ENOTDIR && r != -EMEDIUMTYPE)
		return r;
	below = find_mount(mount);
	if (below == 0)
		below = join(mount, name, path);
	if (below == 0)
		below = open_path(path, ret);
	/* What stands there under that very name tells more. */
	return below == -ENOENT ? r : below;
}

int cgroup_open_own(struct cgroup *ret)
{
	CLEANUP(fclosep) FILE *file = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX + 8], mount[PATH_MAX], path[PATH_MAX];
	int r = find_mount(mount);

	if (!file)
		return -errno;
	while (r == 0 && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::", 3) != 0)
			continue;
		r = join(mount, line + 3, path);
		return r < 0 ? r : open_path(path, ret);
	}
	return r < 0 ? r : -ENODEV;
}

int cgroup_make_child(const struct cgroup *parent, struct cgroup *ret)
{
	char name[32], path[PATH_MAX];
	int r;

	snprintf(name, sizeof(name), "isomer-run-%d", (int)getpid());
	r = join(parent->path, name, path);
	if (r < 0)
		return r;
	if (mkdir(path, 0755) < 0)
		return -errno;
	r = open_path(path, ret);
	if (r < 0)
		(void)rmdir(path);
	return r;
}

int cgroup_enter(const struct cgroup *cg)
{
	CLEANUP_FD int fd = openat(cg->fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, "0", 1) < 0 ? -errno : 0;
}

/* The kernel reports a change of this file as a priority event. */
static bool is_populated(int events)
{
	char text[128];
	ssize_t n = pread(events, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return n > 0 && strstr(text, "populated 1");
}

int cgroup_remove_when_empty(const struct cgroup *cg)
{
	CLEANUP_FD int events = openat(cg->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	struct pollfd changed = { .fd = events, .events = POLLPRI };

	if (events < 0)
		return -errno;
	while (is_populated(events))
		if (poll(&changed, 1, -1) < 0 && errno != EINTR)
			return -errno;
	return rmdir(cg->path) < 0 && errno != ENOENT ? -errno : 0;
}

static int visit_processes(int dir, int (*visit)(pid_t pid, void *arg), void *arg)
{
	CLEANUP(fclosep) FILE *file = NULL;
	int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC), pid, r = 0;

	if (fd < 0)
		return errno == ENOENT || errno == ENODEV ? 0 : -errno; /* removed meanwhile */
	file = fdopen(fd, "re");
	if (!file) {
		close(fd);
		return -ENOMEM;
	}
	/* 0 is a process of another pid namespace. */
	while (r == 0 && fscanf(file, "%d", &pid) == 1)
		if (pid > 0)
			r = visit(pid, arg);
	return r;
}

/* @dir_fd: taken over. */
static int visit_below(int dir_fd, int (*visit)(pid_t pid, void *arg), void *arg)
{
	CLEANUP_DIR DIR *dir = fdopendir(dir_fd);
	struct dirent *entry;
	int r;

	if (!dir) {
		close(dir_fd);
		return -ENOMEM;
	}
	r = visit_processes(dirfd(dir), visit, arg);
	while (r == 0 && (entry = readdir(dir))) {
		int fd;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			r = visit_below(fd, visit, arg);
	}
	return r;
}

int cgroup_visit(const struct cgroup *cg, int (*visit)(pid_t pid, void *arg), void *arg)
{
	int fd = openat(cg->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : visit_below(fd, visit, arg);
}
