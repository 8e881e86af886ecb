/* SPDX-License-Identifier: BSD-3-Clause */
/* doctor: what is said of a machine that lacks something, and of one that does not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "integration/operator.h"
#include "state/cleanup.h"
#include "support/netns.h"

/* Severity and subject of everything that is not as it should be; what depends on the machine that
 * the test runs on is left out. */
#define WRONG                                                                                      \
	"' '.join(sorted(f['severity'] + ':' + f['subject'] for f in d['findings'] "               \
	"if f['severity'] != 'good' and f['subject'] not in "                                      \
	"('users', 'jit', 'cgroups', 'lockdown', 'selinux', 'apparmor', 'namespaces') "            \
	"and 'all that loading needs' not in f['text']))"

static void finds(int status, const char *wrong)
{
	struct command_result r = operator_shell(0, "exec \"$0\" --json doctor", NULL);
	CLEANUP_FREE char *document = strdup(r.out);

	assert_non_null(document);
	operator_said(&r, status, NULL);
	operator_json_is(document, WRONG, wrong);
	operator_json_is(document, "d['works']", status ? "False" : "True");
	operator_json_is(document,
			 "all((f['severity'] == 'good') == (f['cost'] is None) == "
			 "(f['remedy'] is None) for f in d['findings'])",
			 "True");
}

static void make_folder(const struct netns_fixture *ns, const char *name, mode_t mode)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", ns->bpffs, name);
	assert_return_code(mkdir(path, mode), errno);
	assert_return_code(chmod(path, mode), errno);
}

static void machine_that_works_has_nothing_wrong(void **state)
{
	netns_or_skip(state);
	finds(0, "");
}

static void loaded_dispatcher_is_found_and_is_no_other_program(void **state)
{
	struct command_result r;

	netns_or_skip(state);
	r = operator_shell(0, "\"$0\" load --max-destinations 64 && \"$0\" doctor", NULL);
	assert_non_null(strstr(r.out, "\ngood  dispatcher   loaded, by this version\n"));
	assert_non_null(strstr(r.out, "\ngood  programs     no other"));
	operator_said(&r, 0, NULL);
	finds(0, "");
}

static void missing_filesystem_keeps_a_dispatcher_away(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	assert_return_code(umount2(ns->bpffs, MNT_DETACH), errno);
	finds(1, "bad:bpffs");
}

static void filesystem_that_users_cannot_search_is_noted(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	assert_return_code(chmod(ns->bpffs, 0700), errno);
	finds(0, "note:bpffs");
}

static void folders_of_others_and_of_the_dead_are_noted(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	make_folder(ns, "1_dispatcher", 0777);
	finds(0, "note:foreign");
	make_folder(ns, "2_dispatcher", 0711);
	make_folder(ns, "no_dispatcher", 0777);
	finds(0, "note:foreign note:stale");
}

static void folders_are_left_as_they_are(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct stat sb;

	make_folder(ns, "1_dispatcher", 0777);
	finds(0, "note:foreign");
	assert_return_code(stat("/sys/fs/bpf/1_dispatcher", &sb), errno);
	assert_int_equal(sb.st_mode & 07777, 0777);
}

static void user_without_capabilities_is_told_so(void **state)
{
	struct command_result r;

	netns_or_skip(state);
	r = operator_shell(
		0, "exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$0\" doctor", NULL);
	assert_non_null(strstr(r.out, "bad   capabilities missing: "));
	assert_non_null(strstr(r.out, "cap_bpf"));
	operator_said(&r, 1, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(machine_that_works_has_nothing_wrong),
		netns_test(loaded_dispatcher_is_found_and_is_no_other_program),
		netns_test(missing_filesystem_keeps_a_dispatcher_away),
		netns_test(filesystem_that_users_cannot_search_is_noted),
		netns_test(folders_of_others_and_of_the_dead_are_noted),
		netns_test(folders_are_left_as_they_are),
		netns_test(user_without_capabilities_is_told_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
