/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

#include "state/cleanup.h"
#include "support/leftover.h"
#include "support/netns.h"

#define BPFFS "/sys/fs/bpf"

/* Where the test program started. */
static struct {
	int net, mnt, cwd;
} home = { -1, -1, -1 };

/* The namespace of the running test. Held until nobody looks for its inode number any more: the
 * next namespace, of another test program maybe, could get the same. */
static int test_net = -1;

static int open_home(void)
{
	if (home.cwd >= 0)
		return 0;
	home.net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	home.mnt = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (home.net < 0 || home.mnt < 0)
		return -errno;
	home.cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return home.cwd < 0 ? -errno : 0;
}

/* A test program that cannot go home would run its next tests in the wrong place: give up. A thread
 * that was joined may still be about to let go of what it shares, which a mount namespace must not
 * be. */
static void go_home(void)
{
	if (unshare(CLONE_FS) < 0 || setns(home.net, CLONE_NEWNET) < 0 ||
	    setns(home.mnt, CLONE_NEWNS) < 0 || fchdir(home.cwd) < 0) {
		perror("cannot leave the namespaces of the test");
		abort();
	}
}

static int loopback_up(void)
{
	CLEANUP_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		return -errno;
	return 0;
}

static int enter(struct netns_fixture *ns)
{
	struct stat st;

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
		return -errno;
	test_net = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (test_net < 0 || fstat(test_net, &st) < 0)
		return -errno;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("bpf", BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0711") < 0)
		return -errno;
	ns->netns_inode = st.st_ino;
	snprintf(ns->state_dir, sizeof(ns->state_dir), BPFFS "/%llu" ISOMER_FOLDER_SUFFIX,
		 (unsigned long long)st.st_ino);
	return loopback_up();
}

int netns_setup(void **state)
{
	struct netns_fixture *ns = calloc(1, sizeof(*ns));

	if (!ns)
		return -1;
	ns->bpffs = BPFFS;
	ns->setup_error = open_home();
	if (ns->setup_error == 0) {
		ns->setup_error = enter(ns);
		if (ns->setup_error < 0)
			go_home();
	}
	*state = ns;
	return 0;
}

static bool is_in_netns(const char *pid, uint64_t inode)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%.20s/ns/net", pid);
	return stat(path, &st) == 0 && st.st_ino == inode;
}

/* Kills what still runs in the test's network namespace: children of the servers that it started,
 * or daemons. Asks for the namespace again once the pidfd is held, as pids come back. */
static void end_processes_in(uint64_t inode)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		CLEANUP_FD int pidfd = -1;

		if (pid <= 0 || pid == getpid() || !is_in_netns(entry->d_name, inode))
			continue;
		pidfd = pidfd_open(pid, 0);
		if (pidfd >= 0 && is_in_netns(entry->d_name, inode))
			(void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
	}
	if (dir)
		closedir(dir);
}

int netns_teardown(void **state)
{
	struct netns_fixture *ns = *state;
	CLEANUP_FD int net = TAKE_FD(test_net);

	process_end_leftovers();
	if (ns->setup_error == 0) {
		go_home();
		end_processes_in(ns->netns_inode);
	}
	free(ns);
	*state = NULL;
	return 0;
}

static bool tests_must_run(void)
{
	const char *value = getenv("ISOMER_TESTS_MUST_RUN");

	return value && strcmp(value, "1") == 0;
}

void skip_or_fail(const char *what)
{
	if (tests_must_run())
		fail_msg("this test must run, but: %s", what);
	print_message("skipped: %s\n", what);
	skip();
}

void skip_before_linux(unsigned int major, unsigned int minor, const char *what)
{
	unsigned int running_major = 0, running_minor = 0;
	struct utsname u;

	assert_int_equal(uname(&u), 0);
	sscanf(u.release, "%u.%u", &running_major, &running_minor);
	if (running_major > major || (running_major == major && running_minor >= minor))
		skip_or_fail(what);
	print_message("skipped: Linux %s has no %s\n", u.release, what);
	skip();
}

struct netns_fixture *netns_or_skip(void **state)
{
	struct netns_fixture *ns = *state;
	char what[128];

	if (ns->setup_error) {
		snprintf(what, sizeof(what), "no namespaces or bpffs of its own: %s",
			 strerror(-ns->setup_error));
		skip_or_fail(what);
	}
	return ns;
}
