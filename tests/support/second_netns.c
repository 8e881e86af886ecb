/* SPDX-License-Identifier: BSD-3-Clause */
#include "support/second_netns.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "state/cleanup.h"

void second_netns_enter(int fd)
{
	assert_return_code(setns(fd, CLONE_NEWNET), errno);
}

static void lo_up(void)
{
	CLEANUP_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };

	assert_return_code(ioctl(fd, SIOCSIFFLAGS, &ifr), errno);
}

static void start_keeper(struct second_netns *s)
{
	char byte;
	int fds[2];

	assert_return_code(pipe2(fds, O_CLOEXEC), errno);
	s->keeper = fork();
	assert_return_code(s->keeper, errno);
	if (s->keeper == 0) {
		close(fds[1]);
		(void)!read(fds[0], &byte, 1);
		_exit(0);
	}
	close(fds[0]);
	s->keeper_pipe = fds[1];
}

void second_netns_make(const struct netns_fixture *ns, struct second_netns *s)
{
	struct stat sb;

	s->home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_return_code(s->home, errno);
	assert_return_code(unshare(CLONE_NEWNET), errno);
	s->fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_return_code(s->fd, errno);
	lo_up();
	start_keeper(s);
	assert_return_code(fstat(s->fd, &sb), errno);
	s->inode = sb.st_ino;
	snprintf(s->path, sizeof(s->path), "/proc/%d/ns/net", (int)s->keeper);
	snprintf(s->folder, sizeof(s->folder), "%s/%llu" ISOMER_FOLDER_SUFFIX, ns->bpffs,
		 (unsigned long long)s->inode);
	second_netns_enter(s->home);
}

void second_netns_done(struct second_netns *s)
{
	close(s->keeper_pipe);
	waitpid(s->keeper, NULL, 0);
	close(s->home);
	close(s->fd);
}
