/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/file_watch.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "state/cleanup.h"

#define EVENTS                                                                                     \
	(IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB |        \
	 IN_DELETE_SELF | IN_MOVE_SELF)

#define LINKS_MAX 40 /* as the kernel */

/* An editor moves the old file away before it writes the new one: what lies in between is no
 * change. Who never stops writing is looked at all the same. */
#define QUIET_MS   50
#define ROUNDS_MAX 20

/* ---- what to watch ---- */

/* Cuts the last component off, up to a folder that is there. */
static int watch_parent(int fd, char *path)
{
	for (;;) {
		char *slash = strrchr(path, '/');

		if (slash == path)
			path[1] = '\0';
		else if (slash)
			*slash = '\0';
		else
			memcpy(path, ".", sizeof("."));
		if (inotify_add_watch(fd, path, EVENTS | IN_ONLYDIR) >= 0)
			return 0;
		if ((errno != ENOENT && errno != ENOTDIR) || !slash || slash == path)
			return -errno;
	}
}

/* Where the symbolic link @path leads to, seen from where @path is seen from. Returns 0, -EINVAL
 * when it is none, or another negative errno. */
static int follow(const char *path, char ret[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	char target[PATH_MAX];
	ssize_t len = readlink(path, target, sizeof(target) - 1);
	int folder;

	if (len < 0)
		return -errno;
	target[len] = '\0';
	folder = target[0] == '/' || !slash ? 0 : (int)(slash + 1 - path);
	if (snprintf(ret, PATH_MAX, "%.*s%s", folder, path, target) >= PATH_MAX)
		return -ENAMETOOLONG;
	return 0;
}

/* Every folder in which a name decides where @path leads to: that of the file, and that of each
 * symbolic link on the way. */
static int watch_path(int fd, const char *path, int links_left)
{
	char part[PATH_MAX], target[PATH_MAX];
	size_t len = 0;
	int r;

	do {
		len += strspn(path + len, "/");
		len += strcspn(path + len, "/");
		if (len >= sizeof(part))
			return -ENAMETOOLONG;
		memcpy(part, path, len);
		part[len] = '\0';
		r = follow(part, target);
		if (r == 0 && links_left == 0)
			return 0; /* in circles, all of them watched by now */
		if (r == 0)
			r = watch_path(fd, target, links_left - 1);
		else if (path[len + strspn(path + len, "/")])
			continue; /* a folder, or what is missing lies before it */
		else
			r = 0;
		if (r == 0)
			r = watch_parent(fd, part);
		if (r < 0)
			return r;
	} while (path[len]);
	return 0;
}

/* ---- what is seen ---- */

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* A watch of its own for each look: what is of no interest any more goes with the one before. */
int file_watch_look(struct file_watch *w, bool *ret_changed)
{
	CLEANUP_FD int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	bool changed = false;

	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < FILE_WATCH_PATHS && w->paths[i]; i++) {
		struct stat now;
		int r = watch_path(fd, w->paths[i], LINKS_MAX);

		if (r < 0)
			return r;
		if (stat(w->paths[i], &now) < 0)
			memset(&now, 0, sizeof(now));
		changed = changed || !same_file(&now, &w->seen[i]);
		w->seen[i] = now;
	}

	file_watch_done(w);
	w->fd = TAKE_FD(fd);
	*ret_changed = changed;
	return 0;
}

/* Returns how many descriptors are ready, after it has read all events away. */
static int poll_once(const struct file_watch *w, int end_fd, int timeout_ms)
{
	struct pollfd fds[] = { { .fd = w->fd, .events = POLLIN },
				{ .fd = end_fd, .events = POLLIN } };
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	int n = poll(fds, 2, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 1 : -errno; /* as good as an event */
	if (fds[1].revents)
		return -EINTR;
	while (read(w->fd, events, sizeof(events)) > 0)
		;
	return n;
}

int file_watch_wait(struct file_watch *w, int end_fd, int timeout_ms)
{
	int n = poll_once(w, end_fd, timeout_ms);

	for (int i = 0; n > 0 && i < ROUNDS_MAX; i++)
		n = poll_once(w, end_fd, QUIET_MS);
	return n < 0 ? n : 0;
}

void file_watch_done(struct file_watch *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}
