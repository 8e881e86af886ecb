/* SPDX-License-Identifier: BSD-3-Clause */
/* The state on the BPF filesystem, as the loader makes, changes, mends and removes it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "state/bpfsys.h"
#include "state/cleanup.h"
#include "state/slots.h"
#include "support/bpf_objects.h"
#include "support/net.h"
#include "support/netns.h"
#include "support/process.h"
#include "support/state_checker.h"

#define LEN(array) (sizeof(array) / sizeof(*(array)))

#define NOBODY 65534

/* Small, so that looking through the state takes no time. */
#define LOAD "load", "--max-destinations", "64"

#define PARTS 4
static const char *const parts[PARTS] = { "ipv4-tcp", "ipv4-udp", "ipv6-tcp", "ipv6-udp" };

static void file_in(const char *folder, const char *name, char ret[PATH_MAX])
{
	assert_in_range(snprintf(ret, PATH_MAX, "%s/%s", folder, name), 1, PATH_MAX - 1);
}

static bool exists(const char *path)
{
	struct stat sb;

	return lstat(path, &sb) == 0;
}

/* Runs the loader: its exit status, and a text on stderr. */
#define LOADER_SAYS(expected_status, text, ...)                                                    \
	do {                                                                                       \
		struct command_result said = loader(__VA_ARGS__, NULL);                            \
		if (said.status != (expected_status) || !strstr(said.err, (text)))                 \
			fail_msg("status %d, stderr '%s', should be %d, '%s'", said.status,        \
				 said.err, (expected_status), (text));                             \
		command_done(&said);                                                               \
	} while (0)

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

	for (int i = 0; i < 3; i++) {
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

/* A namespace's inode number comes back after its end; the folder of its name is then another's. */
static void state_of_another_namespace_is_removed_by_load(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	char path[64], folder[PATH_MAX];
	uint64_t inode;

	for (int gone = 0; gone < 2; gone++) {
		CLEANUP_FD int fd = other_netns(path, &inode);

		loader_ok("--netns", path, LOAD, NULL);
		loader_ok("--netns", path, "bind", "foo", "tcp", "127.0.0.1", "80", NULL);
		snprintf(folder, sizeof(folder), "%s/%llu" ISOMER_FOLDER_SUFFIX, ns->bpffs,
			 (unsigned long long)inode);
		state_check_folder(folder, inode);
		if (gone)
			close(TAKE_FD(fd));
		assert_int_equal(rename(folder, ns->state_dir), 0);

		LOADER_SAYS(1, "no longer attached", "bind", "foo", "tcp", "127.0.0.1", "80");
		LOADER_SAYS(1, "no longer attached", "status");
		LOADER_SAYS(0, "removed ", LOAD);
		assert_int_equal(state_check(ns).labels, 0);
		loader_ok("unload", NULL);
	}
}

struct found {
	const char *name; /* what to look for */
	char path[PATH_MAX];
	unsigned n;
};

static void note_if_found(const char *path, void *arg)
{
	struct found *f = arg;

	if (!strstr(path, f->name))
		return;
	f->n++;
	snprintf(f->path, sizeof(f->path), "%s", path);
}

static struct found find(const char *folder, const char *name)
{
	struct found f = { .name = name };

	state_walk(folder, note_if_found, &f);
	return f;
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

/* Half a label and a superfluous index: the next writer removes them before all else. */
static void what_a_killed_writer_left_is_mended_by_the_next(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	char staged[PATH_MAX], rules[PATH_MAX], orphan[PATH_MAX], labels[PATH_MAX];
	struct found f;

	loader_ok(LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.0.0.1", "80", NULL);
	loader_ok("bind", "bar", "tcp", "127.0.0.1", "81", NULL);
	f = find(ns->state_dir, "/" ISOMER_PREFIX_RULES);
	snprintf(rules, sizeof(rules), "%s", f.path);
	file_in(ns->state_dir, ISOMER_PREFIX_RULES "4294967295", orphan);
	assert_int_equal(link(rules, orphan), 0);
	file_in(ns->state_dir, ISOMER_PREFIX_LIST "4294967295", orphan);
	assert_int_equal(link(rules, orphan), 0);
	file_in(ns->state_dir, "staging/new", staged);
	assert_int_equal(mkdir(staged, 0711), 0);

	/* "bar" is on its way out: its folder has left labels/. */
	loader_ok("unbind", "bar", "tcp", "127.0.0.1", "81", NULL);
	loader_ok("grant", "bar", "nobody", NULL);
	file_in(ns->state_dir, "labels/bar", labels);
	file_in(ns->state_dir, "staging/bar", staged);
	assert_int_equal(rename(labels, staged), 0);

	loader_ok("bind", "foo", "tcp", "127.0.0.1", "82", NULL);
	assert_int_equal(state_check(ns).labels, 1);
	assert_int_equal(state_check(ns).bindings, 2);
}

/* A renewal of slots, killed between `sockets` and the pins: the pins follow what is in force. */
static void a_renewal_half_done_is_finished(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	char from[PATH_MAX], to[PATH_MAX], stage[PATH_MAX];

	loader_ok(LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.0.0.1", "80", NULL);
	file_in(ns->state_dir, "staging/foo", stage);
	assert_int_equal(mkdir(stage, 0711), 0);
	for (int i = 1; i < PARTS; i++) { /* the first pin was renamed already */
		char name[64];

		snprintf(name, sizeof(name), "labels/foo/%s", parts[i]);
		file_in(ns->state_dir, name, from);
		file_in(stage, parts[i], to);
		assert_int_equal(rename(from, to), 0);
		/* the former pin, of a map that is in force no longer */
		file_in(ns->state_dir, "labels/foo/ipv4-tcp", to);
		assert_int_equal(link(to, from), 0);
	}
	loader_ok("bind", "foo", "tcp", "127.0.0.1", "81", NULL);
	assert_int_equal(state_check(ns).bindings, 2);
}

/* ---- labels and grants ---- */

static void ids_of_label(const struct netns_fixture *ns, const char *label, uint32_t ret[PARTS])
{
	char name[PATH_MAX];

	for (int i = 0; i < PARTS; i++) {
		snprintf(name, sizeof(name), "labels/%s/%s", label, parts[i]);
		ret[i] = state_map_id(ns, name);
	}
}

/* state_check() tells that the pins are the maps in force. */
static void maps_of_foo(const struct netns_fixture *ns, uint32_t ids[PARTS], bool renewed)
{
	uint32_t now[PARTS];

	state_check(ns);
	ids_of_label(ns, "foo", now);
	for (int i = 0; i < PARTS; i++)
		assert_int_equal(now[i] != ids[i], renewed);
	memcpy(ids, now, sizeof(now));
}

static void owner_of_foo_is(const struct netns_fixture *ns, uid_t uid, mode_t mode)
{
	char path[PATH_MAX];
	struct stat sb;

	file_in(ns->state_dir, "labels/foo/ipv6-udp", path);
	assert_int_equal(lstat(path, &sb), 0);
	assert_int_equal(sb.st_uid, uid);
	assert_int_equal(sb.st_mode & 0777, mode);
}

static void taking_a_right_away_makes_new_maps(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	uint32_t ids[PARTS] = { 0 };

	loader_ok(LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.0.0.1", "80", NULL);
	loader_ok("bind", "bar", "tcp", "127.0.0.1", "81", NULL);
	maps_of_foo(ns, ids, true);
	owner_of_foo_is(ns, 0, 0644);

	loader_ok("grant", "foo", "nobody", NULL); /* nobody had it before */
	maps_of_foo(ns, ids, false);
	owner_of_foo_is(ns, NOBODY, 0644);
	loader_ok("grant", "foo", "nobody:1234", NULL); /* nobody keeps it */
	maps_of_foo(ns, ids, false);
	owner_of_foo_is(ns, NOBODY, 0664);
	loader_ok("grant", "foo", "nobody:1234", NULL);
	maps_of_foo(ns, ids, false);
	loader_ok("grant", "foo", "nobody", NULL); /* the group loses it */
	maps_of_foo(ns, ids, true);
	owner_of_foo_is(ns, NOBODY, 0644);
	loader_ok("grant", "foo", "1000", NULL);
	maps_of_foo(ns, ids, true);
	owner_of_foo_is(ns, 1000, 0644);
	loader_ok("grant", "foo", "root:1234", NULL);
	maps_of_foo(ns, ids, true);
	owner_of_foo_is(ns, 0, 0664);
	loader_ok("revoke", "foo", NULL);
	maps_of_foo(ns, ids, true);
	owner_of_foo_is(ns, 0, 0644);
	LOADER_SAYS(1, "granted to nobody", "revoke", "foo");
	maps_of_foo(ns, ids, false);
}

/* By that a server notices that it has put its socket into slots that are no longer the label's. */
static void slots_of_before_are_told_from_those_in_force(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FD int slots = -1;
	struct isomer_state st;

	loader_ok(LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.0.0.1", "80", NULL);
	loader_ok("grant", "foo", "nobody", NULL);
	assert_int_equal(isomer_state_open(ns->bpffs, ns->netns_inode, &st), 0);
	assert_int_equal(isomer_slots_open(&st, "bar", AF_INET, IPPROTO_TCP, &slots), -ENOENT);
	assert_int_equal(isomer_slots_open(&st, "-", AF_INET, IPPROTO_TCP, &slots), -EINVAL);
	assert_int_equal(slots, -1);
	assert_int_equal(isomer_slots_open(&st, "foo", AF_INET, IPPROTO_TCP, &slots), 0);
	assert_int_equal(isomer_slots_check(&st, "foo", AF_INET, IPPROTO_TCP, slots), 0);
	assert_int_equal(isomer_slots_check(&st, "foo", AF_INET6, IPPROTO_TCP, slots), -ESTALE);
	assert_int_equal(isomer_slots_check(&st, "bar", AF_INET, IPPROTO_TCP, slots), -ENOENT);
	loader_ok("revoke", "foo", NULL);
	assert_int_equal(isomer_slots_check(&st, "foo", AF_INET, IPPROTO_TCP, slots), -ESTALE);
}

static void every_label_has_four_destinations(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	static const char *const labels[] = { "a.b", ".", "..", "x@y:z", "+1", "A", "a" };
	char longest[ISOMER_LABEL_MAX + 1];

	memset(longest, 'l', ISOMER_LABEL_MAX);
	longest[ISOMER_LABEL_MAX] = '\0';
	loader_ok(LOAD, NULL);
	for (size_t i = 0; i < LEN(labels); i++) {
		loader_ok("bind", labels[i], i % 2 ? "tcp" : "udp", "127.0.0.1", "80", "--replace",
			  NULL);
		state_check(ns);
	}
	assert_int_equal(state_check(ns).labels, 2); /* the others have lost their only binding */
	loader_ok("grant", longest, "nobody", NULL);
	loader_ok("grant", "b", "nobody", NULL);
	assert_int_equal(state_check(ns).labels, 4);
}

static void a_label_goes_when_nothing_needs_it(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FD int listener = -1;
	char pid[16];

	loader_ok(LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.0.0.2", "80", NULL);
	loader_ok("bind", "foo", "udp", "127.0.0.2", "80", NULL);
	loader_ok("unbind", "foo", "tcp", "127.0.0.2", "80", NULL);
	assert_int_equal(state_check(ns).labels, 1);
	loader_ok("unbind", "foo", "udp", "127.0.0.2", "80", NULL);
	assert_int_equal(state_check(ns).labels, 0);

	loader_ok("grant", "foo", "nobody", NULL);
	assert_int_equal(state_check(ns).labels, 1);
	loader_ok("revoke", "foo", NULL);
	assert_int_equal(state_check(ns).labels, 0);

	listener = tcp_listen("127.0.0.1", 8080);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	loader_ok("register-pid", pid, "foo", "tcp", "127.0.0.1", "8080", NULL);
	loader_ok("bind", "foo", "tcp", "127.0.0.2", "80", NULL);
	loader_ok("unbind", "foo", "tcp", "127.0.0.2", "80", NULL);
	assert_int_equal(state_check(ns).labels, 1);
	loader_ok("unregister", "foo", "ipv4", "tcp", NULL);
	assert_int_equal(state_check(ns).labels, 0);

	/* Death is noticed by the next writer. */
	loader_ok("register-pid", pid, "foo", "tcp", "127.0.0.1", "8080", NULL);
	assert_int_equal(state_check(ns).labels, 1);
	close(TAKE_FD(listener));
	loader_ok("bind", "bar", "tcp", "127.0.0.2", "81", NULL);
	assert_int_equal(state_check(ns).labels, 1);
}

/* ---- the index ---- */

static void bindings_shows(const char *expected)
{
	CLEANUP(command_done) struct command_result r = loader("bindings", NULL);

	assert_int_equal(r.status, 0);
	assert_string_equal(r.err, "");
	assert_string_equal(r.out, expected);
}

static void bindings_show_what_was_bound(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	loader_ok(LOAD, NULL);
	bindings_shows("no bindings matched\n");
	loader_ok("bind", "foo", "tcp", "127.0.0.0/8", "0", NULL);
	loader_ok("bind", "foo", "udp", "::1", "53", NULL);
	loader_ok("bind", "bar", "tcp", "127.0.0.1", "80-90", NULL);
	state_check(ns);
	bindings_shows("Bindings:\n"
		       " protocol       prefix  port label\n"
		       "      tcp 127.0.0.1/32 80-90   bar\n"
		       "      tcp  127.0.0.0/8     0   foo\n"
		       "      udp      ::1/128    53   foo\n");
	loader_ok("unbind", "bar", "tcp", "127.0.0.1", "80-90", NULL);
	bindings_shows("Bindings:\n"
		       " protocol      prefix port label\n"
		       "      tcp 127.0.0.0/8    0   foo\n"
		       "      udp     ::1/128   53   foo\n");
	loader_ok("unbind", "foo", "udp", "::1", "53", NULL);
	loader_ok("unbind", "foo", "tcp", "127.0.0.0/8", "0", NULL);
	bindings_shows("no bindings matched\n");
	assert_int_equal(state_check(ns).bindings, 0);
}

static void one_index_and_one_list_are_pinned_after_any_change(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	char port[8];

	loader_ok(LOAD, NULL);
	for (uint32_t i = 1; i <= 12; i++) {
		snprintf(port, sizeof(port), "%u", i);
		loader_ok("bind", i % 2 ? "foo" : "bar", "tcp", "127.0.0.1", port, NULL);
		assert_int_equal(state_check(ns).bindings, i); /* which counts the pins too */
	}
	for (uint32_t i = 12; i > 0; i--) {
		snprintf(port, sizeof(port), "%u", i);
		loader_ok("unbind", i % 2 ? "foo" : "bar", "tcp", "127.0.0.1", port, NULL);
		assert_int_equal(state_check(ns).bindings, i - 1);
	}
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
		netns_test(a_symlink_to_good_state_is_not_followed),
		netns_test(remnants_of_killed_loaders_are_removed),
		netns_test(a_running_load_is_left_alone),
		netns_test(remnants_of_others_are_left_alone),
		netns_test(what_a_killed_writer_left_is_mended_by_the_next),
		netns_test(a_renewal_half_done_is_finished),
		netns_test(taking_a_right_away_makes_new_maps),
		netns_test(slots_of_before_are_told_from_those_in_force),
		netns_test(every_label_has_four_destinations),
		netns_test(a_label_goes_when_nothing_needs_it),
		netns_test(bindings_show_what_was_bound),
		netns_test(one_index_and_one_list_are_pinned_after_any_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
