/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/process_sockets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "state/cleanup.h"
#include "state/parse.h"

static bool entry_number(const struct dirent *entry, uint64_t max, uint64_t *ret)
{
	return isomer_parse_number(entry->d_name, strlen(entry->d_name), max, ret) == 0;
}

static bool is_socket(int dir_fd, const char *name)
{
	char target[32];
	ssize_t n = readlinkat(dir_fd, name, target, sizeof(target) - 1);

	return n > 0 && !strncmp(target, "socket:", 7);
}

int process_sockets_visit(pid_t pid, int (*visit)(int fd, void *arg), void *arg)
{
	CLEANUP_DIR DIR *dir = NULL;
	CLEANUP_FD int pidfd = -1;
	struct dirent *entry;
	char path[64];

	/* The pidfd first: what is read from /proc afterwards is the same process or nobody. */
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;

	while ((entry = readdir(dir))) {
		CLEANUP_FD int fd = -1;
		uint64_t number;
		int r;

		if (!entry_number(entry, INT32_MAX, &number) ||
		    !is_socket(dirfd(dir), entry->d_name))
			continue;
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, (int)number, 0);
		if (fd < 0 && errno == EBADF)
			continue; /* closed meanwhile */
		if (fd < 0)
			return -errno;
		r = visit(fd, arg);
		if (r != 0)
			return r;
	}
	return 0;
}

void process_name(pid_t pid, char ret[PROCESS_NAME_SIZE])
{
	CLEANUP_FD int fd = -1;
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, ret, PROCESS_NAME_SIZE - 1);
	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	/* A process names itself: nothing that could confuse a terminal. */
	for (char *c = ret; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

struct search {
	const uint64_t *cookies;
	size_t n;
	struct socket_owner *owners;
	pid_t pid;
};

static int match_owner(int fd, void *arg)
{
	struct search *search = arg;
	struct isomer_socket s;

	if (isomer_socket_inspect(fd, &s) < 0)
		return 0;
	for (size_t i = 0; i < search->n; i++) {
		struct socket_owner *owner = &search->owners[i];

		if (search->cookies[i] != s.cookie || owner->pid)
			continue;
		owner->pid = search->pid;
		owner->socket = s;
		process_name(search->pid, owner->comm);
	}
	return 0;
}

int process_sockets_find_owners(const uint64_t *cookies, size_t n, struct socket_owner *ret)
{
	CLEANUP_DIR DIR *proc = opendir("/proc");
	struct search search = { .cookies = cookies, .n = n, .owners = ret };
	struct dirent *entry;
	uint64_t pid;

	if (!proc)
		return -errno;
	memset(ret, 0, n * sizeof(*ret));
	while ((entry = readdir(proc))) {
		if (!entry_number(entry, INT32_MAX, &pid))
			continue;
		search.pid = (pid_t)pid;
		(void)process_sockets_visit(search.pid, match_owner, &search);
	}
	return 0;
}
