/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>

#include "loader/progress.h"
#include "state/cleanup.h"

unsigned lock_wait_seconds = LOCK_WAIT_SECONDS;

/* /proc/locks: "1: FLOCK  ADVISORY  WRITE 1234 00:2a:5678 0 EOF", waiters have "->". */
static pid_t find_holder(int fd)
{
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;
	struct stat sb;
	pid_t found = 0;
	FILE *locks;

	if (fstat(fd, &sb) < 0)
		return 0;
	locks = fopen("/proc/locks", "re");
	if (!locks)
		return 0;
	while (found == 0 && getline(&line, &size, locks) >= 0) {
		unsigned major_nr, minor_nr;
		unsigned long inode;
		int pid;

		if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%lu", &pid, &major_nr, &minor_nr,
			   &inode) == 4 &&
		    inode == sb.st_ino && makedev(major_nr, minor_nr) == sb.st_dev)
			found = pid;
	}
	fclose(locks);
	return found;
}

static void on_alarm(int signal)
{
	(void)signal; /* exists to interrupt flock() */
}

/* The kernel wakes waiters in order, which a loop of attempts would not. The timer repeats, so
 * that a signal that comes just before the call cannot leave it waiting for ever. */
static int flock_timed(int fd, unsigned seconds)
{
	struct sigaction action = { .sa_handler = on_alarm }, old_action;
	struct itimerval timer = { { 0, 100000 }, { (time_t)seconds, 0 } }, off = { 0 };
	int r;

	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return -errno;
	if (seconds == 0)
		return -ETIMEDOUT;
	if (progress_is_shown())
		progress_wait("waiting for another isomer-loader (pid %d)", (int)find_holder(fd));

	sigaction(SIGALRM, &action, &old_action);
	setitimer(ITIMER_REAL, &timer, NULL);
	r = flock(fd, LOCK_EX) < 0 ? -errno : 0;
	setitimer(ITIMER_REAL, &off, NULL);
	sigaction(SIGALRM, &old_action, NULL);
	progress_clear();

	return r == -EINTR ? -ETIMEDOUT : r;
}

/* Is @fd still what is at @path? Whoever waits for the lock of a folder may get it when the folder
 * has gone and another one has come. */
static bool is_in_place(int fd, const char *path)
{
	struct stat ours, there;

	return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino &&
	       ours.st_dev == there.st_dev;
}

int lock_take(const char *path, unsigned seconds, int *ret_fd, pid_t *ret_holder)
{
	for (;;) {
		CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int r;

		if (fd < 0)
			return -errno;
		r = flock_timed(fd, seconds);
		if (r == -ETIMEDOUT)
			*ret_holder = find_holder(fd);
		if (r < 0)
			return r;
		if (is_in_place(fd, path)) {
			*ret_fd = TAKE_FD(fd);
			return 0;
		}
	}
}
