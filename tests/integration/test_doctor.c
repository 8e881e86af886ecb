/* SPDX-License-Identifier: BSD-3-Clause */
/* doctor: what is said of a machine that lacks something, and of one that does not. */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
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

static void run(const char *script)
{
	struct command_result r = operator_shell(0, script, NULL);

	operator_said(&r, 0, NULL);
}

/* The addresses of an interface, a route inside the prefix, and one around it. */
static void what_is_bound_and_not_of_this_host_is_noted(void **state)
{
	netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "web", "tcp", "127.8.8.0/24", "80", NULL);
	loader_ok("bind", "web", "udp", "::1", "53", NULL);
	loader_ok("bind", "all", "tcp", "0.0.0.0/0", "81", NULL);
	finds(0, "");
	loader_ok("bind", "web", "tcp", "192.0.2.0/24", "80", NULL);
	finds(0, "note:routes");
	run("ip route add local 192.0.2.77 dev lo");
	finds(0, "");
	loader_ok("bind", "web", "tcp", "2001:db8:1::/64", "80", NULL);
	finds(0, "note:routes");
	run("ip -6 route add local 2001:db8::/32 dev lo");
	finds(0, "");
	run("ip route add blackhole 198.51.100.0/24");
	loader_ok("bind", "web", "tcp", "198.51.100.9", "80", NULL);
	finds(0, "note:routes");
}

static void is_foreign(const char *prefix)
{
	loader_ok("bind", "web", "tcp", prefix, "80", NULL);
	finds(0, "note:routes");
	loader_ok("unbind", "web", "tcp", prefix, "80", NULL);
}

/* Beside a route by one bit within a byte, and with the bytes of 127.0.0.0/8 in IPv6. */
static void what_is_much_like_this_hosts_is_noted(void **state)
{
	netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "web", "tcp", "192.0.2.64/26", "81", NULL);
	run("ip route add local 192.0.2.64/26 dev lo");
	finds(0, "");
	is_foreign("192.0.2.128/26");
	is_foreign("192.0.2.63");
	is_foreign("7f00::/16");
	finds(0, "");
}

static void missing_filesystem_keeps_a_dispatcher_away(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	assert_return_code(mount("none", ns->bpffs, "tmpfs", 0, NULL), errno);
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

/* ---- what other machines say of themselves: files of the test where the kernel has its own ----
 */

static void another_machine(void)
{
	run("mount -t tmpfs -o mode=0755 none /sys && mkdir -p /sys/fs/bpf && "
	    "mount -t bpf -o mode=0711 none /sys/fs/bpf");
}

static void machine_says(const char *path, const char *text)
{
	struct command_result r = operator_shell(
		0, "mkdir -p \"${1%/*}\" && printf '%s\\n' \"$2\" >\"$1\"", path, text, NULL);

	operator_said(&r, 0, NULL);
}

/* The severity of what is said of a subject, "" when nothing is said of it. */
static void finds_of(const char *subject, const char *severity)
{
	struct command_result r = operator_shell(0, "exec \"$0\" --json doctor", NULL);
	char expression[128];

	snprintf(expression, sizeof(expression),
		 "' '.join(f['severity'] for f in d['findings'] if f['subject'] == '%s')", subject);
	operator_json_is(r.out, expression, severity);
	operator_said(&r, 0, NULL);
}

static void lockdown_is_noted_where_it_hides_kernel_memory(void **state)
{
	static const char path[] = "/sys/kernel/security/lockdown";

	netns_or_skip(state);
	another_machine();
	finds_of("lockdown", "");
	machine_says(path, "[none] integrity confidentiality");
	finds_of("lockdown", "");
	machine_says(path, "none [integrity] confidentiality");
	finds_of("lockdown", "");
	machine_says(path, "none integrity [confidentiality]");
	finds_of("lockdown", "note");
}

static void security_modules_are_noted_when_they_are_in_force(void **state)
{
	netns_or_skip(state);
	another_machine();
	finds_of("selinux", "");
	finds_of("apparmor", "");
	machine_says("/sys/fs/selinux/enforce", "0");
	machine_says("/sys/module/apparmor/parameters/enabled", "N");
	finds_of("selinux", "");
	finds_of("apparmor", "");
	machine_says("/sys/fs/selinux/enforce", "1");
	machine_says("/sys/module/apparmor/parameters/enabled", "Y");
	finds_of("selinux", "note");
	finds_of("apparmor", "note");
}

static void interpreted_programs_are_noted(void **state)
{
	static const char path[] = "/proc/sys/net/core/bpf_jit_enable";

	netns_or_skip(state);
	assert_return_code(mount("none", "/proc/sys/net/core", "tmpfs", 0, NULL), errno);
	finds_of("jit", "");
	machine_says(path, "1");
	finds_of("jit", "");
	machine_says(path, "0");
	finds_of("jit", "note");
}

/* ---- other programs ---- */

/* Passes everything by. Returns its link. */
static int attach_another(void)
{
	const struct bpf_insn instructions[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = SK_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_SK_LOOKUP);
	CLEANUP_FD int netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), program = -1;
	int link;

	assert_return_code(netns, errno);
	program = bpf_prog_load(BPF_PROG_TYPE_SK_LOOKUP, "another", "GPL", instructions,
				sizeof(instructions) / sizeof(*instructions), &options);
	assert_return_code(program, errno);
	link = bpf_link_create(program, netns, BPF_SK_LOOKUP, NULL);
	assert_return_code(link, errno);
	return link;
}

static void other_programs_of_the_namespace_are_counted(void **state)
{
	CLEANUP_FD int one = -1, two = -1;
	struct command_result r;

	netns_or_skip(state);
	one = attach_another();
	finds(0, "note:programs");
	loader_ok(OPERATOR_LOAD, NULL);
	two = attach_another();
	r = operator_shell(0, "\"$0\" doctor", NULL);
	assert_non_null(strstr(r.out, "\nnote  programs     2 other at sk_lookup"));
	operator_said(&r, 0, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(machine_that_works_has_nothing_wrong),
		netns_test(loaded_dispatcher_is_found_and_is_no_other_program),
		netns_test(what_is_bound_and_not_of_this_host_is_noted),
		netns_test(what_is_much_like_this_hosts_is_noted),
		netns_test(missing_filesystem_keeps_a_dispatcher_away),
		netns_test(filesystem_that_users_cannot_search_is_noted),
		netns_test(folders_of_others_and_of_the_dead_are_noted),
		netns_test(folders_are_left_as_they_are),
		netns_test(user_without_capabilities_is_told_so),
		netns_test(lockdown_is_noted_where_it_hides_kernel_memory),
		netns_test(security_modules_are_noted_when_they_are_in_force),
		netns_test(interpreted_programs_are_noted),
		netns_test(other_programs_of_the_namespace_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
