/* SPDX-License-Identifier: BSD-3-Clause */
/* What is in the state: labels, grants and bindings, as the loader makes, changes and mends them.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/loader_state.h"
#include "state/cleanup.h"
#include "state/slots.h"
#include "support/net.h"
#include "support/netns.h"
#include "support/state_checker.h"

#define LEN(array) (sizeof(array) / sizeof(*(array)))

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
	for (uint32_t i = 1; i <= 6; i++) {
		snprintf(port, sizeof(port), "%u", i);
		loader_ok("bind", i % 2 ? "foo" : "bar", "tcp", "127.0.0.1", port, NULL);
		assert_int_equal(state_check(ns).bindings, i); /* which counts the pins too */
	}
	for (uint32_t i = 6; i > 0; i--) {
		snprintf(port, sizeof(port), "%u", i);
		loader_ok("unbind", i % 2 ? "foo" : "bar", "tcp", "127.0.0.1", port, NULL);
		assert_int_equal(state_check(ns).bindings, i - 1);
	}
}

/* ---- what killed writers leave ---- */

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(taking_a_right_away_makes_new_maps),
		netns_test(slots_of_before_are_told_from_those_in_force),
		netns_test(every_label_has_four_destinations),
		netns_test(a_label_goes_when_nothing_needs_it),
		netns_test(bindings_show_what_was_bound),
		netns_test(one_index_and_one_list_are_pinned_after_any_change),
		netns_test(what_a_killed_writer_left_is_mended_by_the_next),
		netns_test(a_renewal_half_done_is_finished),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
