/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of the state on the BPF filesystem: made and removed, and what stands in the way. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/loader_state.h"
#include "state/bpfsys.h"
#include "state/cleanup.h"
#include "support/netns.h"
#include "support/state_checker.h"

#define LEN(array) (sizeof(array) / sizeof(*(array)))

static bool exists(const char *path)
{
	struct stat sb;

	return lstat(path, &sb) == 0;
}

/* ---- load and unload ---- */

static void load_makes_the_layout(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct state_summary s;
	struct stat sb;

	loader_ok("load", NULL);
	s = state_check(ns);
	assert_int_equal(s.labels, 0);
	assert_int_equal(s.bindings, 0);
	assert_int_equal(s.max_destinations, ISOMER_DESTINATIONS_DEFAULT);
	loader_ok("unload", NULL);

	loader_ok(LOAD, "--group", "65534", NULL);
	assert_int_equal(state_check(ns).max_destinations, 64);
	loader_ok("bind", "foo", "tcp", "127.0.0.1", "80", NULL);
	assert_int_equal(state_check(ns).bindings, 1); /* of one group too */
	assert_int_equal(lstat(ns->state_dir, &sb), 0);
	assert_int_equal(sb.st_gid, 0); /* the folder is nobody's but root's */
}

/* Modes are not left to whoever starts the loader. */
static void umask_changes_no_mode(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	mode_t old;

	for (int i = 0; i < 2; i++) {
		old = umask(i ? 0777 : 0);
		loader_ok(LOAD, NULL);
		loader_ok("bind", "foo", "tcp", "127.0.0.1", "80", NULL);
		loader_ok("grant", "foo", "nobody", NULL);
		loader_ok("revoke", "foo", NULL);
		umask(old);
		state_check(ns);
		loader_ok("unload", NULL);
	}
}

static void loading_twice_is_said_and_changes_nothing(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *before = NULL;

	loader_ok(LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.0.0.1", "80", NULL);
	before = state_dump(ns->bpffs);
	LOADER_SAYS(0, "dispatcher is already loaded", "load");
	LOADER_SAYS(0, "dispatcher is already loaded", LOAD);
	state_is_still(ns->bpffs, before);
}

static void unloading_leaves_nothing_and_twice_is_said(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *before = state_dump(ns->bpffs);

	loader_ok(LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.0.0.1", "80", NULL);
	loader_ok("grant", "bar", "nobody", NULL);
	loader_ok("unload", NULL);
	state_is_still(ns->bpffs, before);
	LOADER_SAYS(0, "dispatcher is not loaded", "unload");
	state_is_still(ns->bpffs, before);
	LOADER_SAYS(1, "run 'isomer-loader load'", "bind", "foo", "tcp", "127.0.0.1", "80");
	state_is_still(ns->bpffs, before);
}

static void loading_again_begins_anew(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	for (int i = 0; i < 2; i++) {
		loader_ok(LOAD, NULL);
		assert_int_equal(state_check(ns).bindings, 0);
		loader_ok("bind", "foo", "tcp", "127.0.0.1", "80", NULL);
		assert_int_equal(state_check(ns).bindings, 1);
		loader_ok("unload", NULL);
	}
}

/* ---- what stands in the way of load ---- */

static void state_without_its_link_is_removed_by_load(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	char link[PATH_MAX];

	loader_ok(LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.0.0.1", "80", NULL);
	loader_ok("grant", "foo", "nobody", NULL);
	file_in(ns->state_dir, ISOMER_PIN_LINK, link);
	assert_int_equal(unlink(link), 0);

	LOADER_SAYS(1, "no longer attached", "bind", "foo", "tcp", "127.0.0.1", "81");
	LOADER_SAYS(1, "no longer attached", "bindings");
	LOADER_SAYS(0, "removed ", LOAD);
	assert_int_equal(state_check(ns).labels, 0);
	loader_ok("unload", NULL);
	assert_false(exists(ns->state_dir));
}

/* Makes a network namespace; it lives as long as the descriptor. */
static int other_netns(char ret_path[64], uint64_t *ret_inode)
{
	CLEANUP_FD int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	struct stat sb;
	int fd;

	assert_return_code(home, errno);
	assert_return_code(unshare(CLONE_NEWNET), errno);
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_return_code(setns(home, CLONE_NEWNET), errno);
	assert_return_code(fd, errno);
	assert_return_code(fstat(fd, &sb), errno);
	snprintf(ret_path, 64, "/proc/%d/fd/%d", (int)getpid(), fd);
	*ret_inode = sb.st_ino;
	return fd;
}

/* As on kernels without cookies of namespaces, where the link alone tells whose the state is. */
static void forget_cookie(const char *folder)
{
	struct isomer_info info;
	CLEANUP_FD int fd = -1;
	char path[PATH_MAX];
	uint32_t key = 0;

	file_in(folder, ISOMER_PIN_INFO, path);
	assert_int_equal(bpfsys_obj_get(path, 0, &fd), 0);
	assert_int_equal(bpfsys_map_lookup(fd, &key, &info), 0);
	info.netns_cookie = 0;
	assert_int_equal(bpfsys_map_update(fd, &key, &info, BPF_ANY), 0);
}

/* A namespace's inode number comes back after its end; the folder of its name is then another's. */
static void state_of_another_namespace_is_removed_by_load(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	char path[64], folder[PATH_MAX];
	uint64_t inode;

	for (int variant = 0; variant < 3; variant++) {
		bool gone = variant == 1, without_cookie = variant == 2;
		CLEANUP_FD int fd = other_netns(path, &inode);

		loader_ok("--netns", path, LOAD, NULL);
		loader_ok("--netns", path, "bind", "foo", "tcp", "127.0.0.1", "80", NULL);
		snprintf(folder, sizeof(folder), "%s/%llu" ISOMER_FOLDER_SUFFIX, ns->bpffs,
			 (unsigned long long)inode);
		state_check_folder(folder, inode);
		if (gone)
			close(TAKE_FD(fd));
		if (without_cookie)
			forget_cookie(folder);
		assert_int_equal(rename(folder, ns->state_dir), 0);

		LOADER_SAYS(1, "no longer attached", "bind", "foo", "tcp", "127.0.0.1", "80");
		LOADER_SAYS(1, "no longer attached", "status");
		LOADER_SAYS(0, "removed ", LOAD);
		assert_int_equal(state_check(ns).labels, 0);
		loader_ok("unload", NULL);
	}
}

/* Load must succeed, and what was there be out of the way, as it was. */
static void load_moves_aside(const struct netns_fixture *ns, const struct stat *before)
{
	CLEANUP(command_done) struct command_result r = { 0 };
	struct found aside;
	struct stat sb;

	LOADER_SAYS(1, "belongs to somebody else", "bind", "foo", "tcp", "127.0.0.1", "80");
	r = loader(LOAD, NULL);
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.err, "moved "));
	state_check(ns);
	aside = find(ns->bpffs, "-stale-");
	assert_int_equal(aside.n, 1);
	assert_non_null(strstr(r.err, aside.path));
	assert_int_equal(lstat(aside.path, &sb), 0);
	assert_int_equal(sb.st_ino, before->st_ino);
	assert_int_equal(sb.st_mode, before->st_mode);
	assert_int_equal(sb.st_uid, before->st_uid);
	loader_ok("unload", NULL);
	if (unlink(aside.path) < 0)
		assert_int_equal(rmdir(aside.path), 0);
}

/* On a BPF filesystem that all may write, anybody can be there first. */
static void what_somebody_else_made_is_moved_aside_by_load(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct stat sb;

	assert_int_equal(chmod(ns->bpffs, 01777), 0);

	assert_int_equal(mkdir(ns->state_dir, 0755), 0);
	assert_int_equal(chown(ns->state_dir, NOBODY, NOBODY), 0);
	assert_int_equal(lstat(ns->state_dir, &sb), 0);
	load_moves_aside(ns, &sb);

	assert_int_equal(mkdir(ns->state_dir, 0), 0);
	assert_int_equal(chown(ns->state_dir, NOBODY, NOBODY), 0);
	assert_int_equal(lstat(ns->state_dir, &sb), 0);
	load_moves_aside(ns, &sb);

	assert_int_equal(symlink("/etc", ns->state_dir), 0);
	assert_int_equal(lstat(ns->state_dir, &sb), 0);
	load_moves_aside(ns, &sb);

	assert_int_equal(mkdir(ns->state_dir, 0755), 0);
	assert_int_equal(chmod(ns->state_dir, 0733), 0);
	assert_int_equal(lstat(ns->state_dir, &sb), 0);
	load_moves_aside(ns, &sb);
}

/* A user who makes the folder again and again, as soon as it is out of the way. */
static pid_t start_rival(const char *folder)
{
	pid_t pid = fork();

	assert_return_code(pid, errno);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(1);
		for (;;)
			(void)mkdir(folder, 0755);
	}
	return pid;
}

/* What he makes must not pass for a dispatcher that is loaded already. */
static void load_succeeds_only_with_a_dispatcher_in_place(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	assert_int_equal(chmod(ns->bpffs, 01777), 0);
	for (int i = 0; i < 3; i++) {
		pid_t rival = start_rival(ns->state_dir);
		CLEANUP(command_done) struct command_result r = loader(LOAD, NULL);

		assert_int_equal(kill(rival, SIGKILL), 0);
		assert_int_equal(waitpid(rival, NULL, 0), rival);
		if (r.status == 0) {
			state_check(ns);
			loader_ok("unload", NULL);
		} else {
			assert_int_equal(r.status, 1);
			assert_non_null(strstr(r.err, ns->state_dir));
		}
	}
}

/* A link to good state of another namespace must not be followed. */
static void a_symlink_to_good_state_is_not_followed(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	char hidden[PATH_MAX];
	struct stat sb;

	snprintf(hidden, sizeof(hidden), "%s/hidden", ns->bpffs);
	loader_ok(LOAD, NULL);
	assert_int_equal(rename(ns->state_dir, hidden), 0);
	assert_int_equal(symlink(hidden, ns->state_dir), 0);
	assert_int_equal(lstat(ns->state_dir, &sb), 0);
	load_moves_aside(ns, &sb);
}

/* ---- what killed loaders leave ---- */

/* A folder beside the state, as a load makes it before it is renamed into place. */
static void make_remnant(const struct netns_fixture *ns, const char *suffix, uid_t uid,
			 char ret[PATH_MAX])
{
	static const char *const folders[] = { "lock", "labels", "labels/foo", "staging" };
	char path[PATH_MAX];

	snprintf(ret, PATH_MAX, "%.200s%s0123456789abcdef", ns->state_dir, suffix);
	assert_int_equal(mkdir(ret, 0700), 0);
	for (size_t i = 0; i < LEN(folders); i++) {
		file_in(ret, folders[i], path);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	assert_int_equal(chown(ret, uid, uid), 0);
}

static void remnants_of_killed_loaders_are_removed(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	char fresh[PATH_MAX], old[PATH_MAX], stale[PATH_MAX], link_path[PATH_MAX], pin[PATH_MAX];

	/* One with objects in it, as if killed just before its end. */
	loader_ok(LOAD, NULL);
	file_in(ns->state_dir, ISOMER_PIN_INFO, pin);
	make_remnant(ns, "-new-", 0, fresh);
	file_in(fresh, ISOMER_PIN_INFO, link_path);
	assert_int_equal(link(pin, link_path), 0);
	loader_ok("unload", NULL);
	make_remnant(ns, "-old-", 0, old);
	make_remnant(ns, "-stale-", 0, stale); /* a load that was removing dead state */

	loader_ok(LOAD, NULL);
	assert_false(exists(fresh));
	assert_false(exists(old));
	assert_false(exists(stale));
	state_check(ns);
}

static void a_running_load_is_left_alone(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	char fresh[PATH_MAX];
	CLEANUP_FREE char *before = NULL;
	CLEANUP_FD int fd = -1;

	make_remnant(ns, "-new-", 0, fresh);
	fd = open(fresh, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_return_code(fd, errno);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	before = state_dump(fresh);
	loader_ok(LOAD, NULL);
	state_is_still(fresh, before);
	state_check(ns);

	close(TAKE_FD(fd));
	LOADER_SAYS(0, "already loaded", LOAD);
	assert_false(exists(fresh));
}

static void remnants_of_others_are_left_alone(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	char theirs[PATH_MAX], of_another[PATH_MAX];

	make_remnant(ns, "-new-", NOBODY, theirs);
	snprintf(of_another, sizeof(of_another), "%s/7" ISOMER_FOLDER_SUFFIX "-new-0", ns->bpffs);
	assert_int_equal(mkdir(of_another, 0700), 0);
	loader_ok(LOAD, NULL);
	assert_true(exists(theirs));
	assert_true(exists(of_another));
	state_check(ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(load_makes_the_layout),
		netns_test(umask_changes_no_mode),
		netns_test(loading_twice_is_said_and_changes_nothing),
		netns_test(unloading_leaves_nothing_and_twice_is_said),
		netns_test(loading_again_begins_anew),
		netns_test(state_without_its_link_is_removed_by_load),
		netns_test(state_of_another_namespace_is_removed_by_load),
		netns_test(what_somebody_else_made_is_moved_aside_by_load),
		netns_test(load_succeeds_only_with_a_dispatcher_in_place),
		netns_test(a_symlink_to_good_state_is_not_followed),
		netns_test(remnants_of_killed_loaders_are_removed),
		netns_test(a_running_load_is_left_alone),
		netns_test(remnants_of_others_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
