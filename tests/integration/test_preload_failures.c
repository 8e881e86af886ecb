/* SPDX-License-Identifier: BSD-3-Clause */
/* The library where it cannot register: one line says why and what to do, and the server runs as
 * without it; or, with ISOMER_ON_ERROR=fail, does not listen.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "state/cleanup.h"

#define FOO    "ISOMER_LABEL=foo"
#define BAR    "ISOMER_LABEL=bar"
#define FAIL   "ISOMER_ON_ERROR=fail"
#define IGNORE "ISOMER_ON_ERROR=ignore"

/* Runs a server on 127.0.0.1:8080, and 8081 too so that a reason has two occasions to be told. The
 * label gets no traffic, the server its own, and the line holds both texts. */
static void runs_unregistered(const char *label, uid_t uid, const char *option, const char *why,
			      const char *advice)
{
	struct process *p =
		guest_start(&(struct guest_options){ .env = { label }, .uid = uid }, "server",
			    option, "tcp,127.0.0.1,8080", "tcp,127.0.0.1,8081", NULL);

	assert_non_null(strstr(process_stdout(p), "8080: listen=0 errno=untouched"));
	guest_serves("127.0.0.1", 8080, "guest");
	guest_serves("127.0.0.1", 8081, "guest");
	guest_refused("127.0.0.9", 4321);
	guest_said(p, "isomer: server[");
	guest_said(p, "cannot register tcp 127.0.0.1:8080 under '");
	guest_said(p, why);
	guest_said(p, advice);
	process_stop(p, SIGTERM);

	p = guest_start(&(struct guest_options){ .env = { label, IGNORE }, .uid = uid }, "server",
			option, "tcp,127.0.0.1,8080", NULL);
	guest_serves("127.0.0.1", 8080, "guest");
	guest_said_nothing(p);
	process_stop(p, SIGTERM);
}

/* The same, told not to run then: neither TCP nor UDP is even tried. */
static void refuses(const char *label, uid_t uid, const char *option, const char *error,
		    const char *why)
{
	struct process *p =
		guest_start(&(struct guest_options){ .env = { label, FAIL }, .uid = uid }, "server",
			    option, "tcp,127.0.0.1,8080", "tcp,127.0.0.1,8081", NULL);
	char line[128];

	snprintf(line, sizeof(line), "8080: listen=-1 errno=%s fd=", error);
	assert_non_null(strstr(process_stdout(p), line));
	assert_non_null(strstr(process_stdout(p), " accepting=0 "));
	guest_refused("127.0.0.1", 8080);
	guest_said(p, why);
	guest_said(p, "listen() is refused");
	process_stop(p, SIGTERM);

	p = guest_start(&(struct guest_options){ .env = { label, FAIL }, .uid = uid }, "server",
			option, "udp,127.0.0.1,8053", NULL);
	snprintf(line, sizeof(line), "8053: bind=-1 errno=%s fd=", error);
	assert_non_null(strstr(process_stdout(p), line));
	assert_non_null(strstr(process_stdout(p), " bound=0\n"));
	guest_said(p, "bind() is refused");
	process_stop(p, SIGTERM);
}

#define NO_OPTION "--"

static void no_dispatcher(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	char inode[64];

	snprintf(inode, sizeof(inode), "namespace %llu has no dispatcher",
		 (unsigned long long)ns->netns_inode);
	runs_unregistered(FOO, 0, NO_OPTION, inode, "'isomer-loader load'");
	refuses(FOO, 0, NO_OPTION, "ENOENT", "no dispatcher");
}

static void unknown_label(void **state)
{
	(void)netns_or_skip(state);
	guest_dispatcher();
	runs_unregistered(BAR, 0, NO_OPTION, "does not know this label",
			  "'isomer-loader bind bar tcp PREFIX PORT'");
	refuses(BAR, 0, NO_OPTION, "ENOENT", "does not know this label");
}

static void no_grant(void **state)
{
	(void)netns_or_skip(state);
	guest_dispatcher();
	runs_unregistered(FOO, GUEST_NOBODY, NO_OPTION, "uid 65534 has no grant",
			  "'isomer-loader grant foo 65534'");
	refuses(FOO, GUEST_NOBODY, NO_OPTION, "EACCES", "no grant");
}

static void socket_of_another_namespace(void **state)
{
	(void)netns_or_skip(state);
	guest_dispatcher();
	loader_ok("grant", "foo", "nobody", NULL);
	/* Neither answers: the guest's sockets are elsewhere. */
	for (int strict = 0; strict < 2; strict++) {
		struct process *p =
			guest_start(&(struct guest_options){ .env = { FOO, strict ? FAIL : NULL } },
				    "server", "--other-netns", "tcp,127.0.0.1,8080", NULL);

		assert_non_null(
			strstr(process_stdout(p), strict ? "listen=-1 errno=EACCES" : "listen=0"));
		guest_said(p, "not of the network namespace");
		guest_said(p, "'isomer-loader load'");
		guest_refused("127.0.0.9", 4321);
		process_stop(p, SIGTERM);
	}
}

static void nothing_mounted(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	guest_dispatcher();
	assert_int_equal(mount("none", ns->bpffs, "tmpfs", 0, NULL), 0);
	runs_unregistered(FOO, 0, NO_OPTION, "no BPF filesystem is mounted on /sys/fs/bpf",
			  "'mount -t bpf -o mode=0711 bpf /sys/fs/bpf'");
	refuses(FOO, 0, NO_OPTION, "EACCES", "no BPF filesystem");
	assert_int_equal(umount2(ns->bpffs, MNT_DETACH), 0);
}

static void another_bpffs(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = guest_start(&(struct guest_options){ .env = { FOO, "ISOMER_BPFFS=/nowhere" } },
			"server", "tcp,127.0.0.1,8080", NULL);
	guest_said(p, "/nowhere does not exist; set ISOMER_BPFFS");
	process_stop(p, SIGTERM);

	assert_int_equal(mount("bpf", "/mnt", "bpf", 0, "mode=0711"), 0);
	p = guest_start(&(struct guest_options){ .env = { FOO, "ISOMER_BPFFS=/mnt" } }, "server",
			"tcp,127.0.0.1,8080", NULL);
	guest_said(p, "has no dispatcher below /mnt; run 'isomer-loader --bpffs /mnt load'");
	process_stop(p, SIGTERM);
	assert_int_equal(umount2("/mnt", MNT_DETACH), 0);
}

static void bpffs_that_may_not_be_searched(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	guest_dispatcher();
	loader_ok("grant", "foo", "nobody", NULL);
	assert_int_equal(chmod(ns->bpffs, 0700), 0);
	runs_unregistered(FOO, GUEST_NOBODY, NO_OPTION, "uid 65534 may not search /sys/fs/bpf",
			  "'chmod o+x /sys/fs/bpf'");
	refuses(FOO, GUEST_NOBODY, NO_OPTION, "EACCES", "may not search");
}

static void folder_of_somebody_else(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	assert_int_equal(chmod(ns->bpffs, 01777), 0);
	assert_int_equal(mkdir(ns->state_dir, 0755), 0);
	assert_int_equal(chown(ns->state_dir, GUEST_NOBODY, GUEST_NOBODY), 0);
	runs_unregistered(FOO, 0, NO_OPTION, "is not trusted", "'isomer-loader load'");
	refuses(FOO, 0, NO_OPTION, "EACCES", "is not trusted");
}

static void folder_that_others_may_write(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	guest_dispatcher();
	assert_int_equal(chmod(ns->state_dir, 0777), 0);
	runs_unregistered(FOO, 0, NO_OPTION, "is not trusted", "'isomer-loader load'");
}

/* Runs bpftool on a pin in the state folder. */
static void bpftool_on(const struct netns_fixture *ns, const char *verb, const char *pin)
{
	CLEANUP(command_done) struct command_result r = { 0 };
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", ns->state_dir, pin);
	if (!strcmp(verb, "freeze")) {
		r = command_run(&(struct process_options){
			.argv = (const char *const[]){ "bpftool", "map", "freeze", "pinned", path,
						       NULL } });
	} else {
		assert_int_equal(unlink(path), 0);
		r = command_run(&(struct process_options){
			.argv = (const char *const[]){ "bpftool", "map", "create", path, "type",
						       "array", "key", "4", "value", "64",
						       "entries", "1", "name", "info", NULL } });
	}
	if (r.status != 0)
		fail_msg("bpftool: %s%s", r.out, r.err);
}

static void state_of_another_schema(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	guest_dispatcher();
	bpftool_on(ns, "replace", "info");
	runs_unregistered(FOO, 0, NO_OPTION, "is not of schema 1",
			  "use the library and the loader of one version");
	refuses(FOO, 0, NO_OPTION, "EACCES", "is not of schema 1");
}

static void seccomp_filter(void **state)
{
	(void)netns_or_skip(state);
	guest_dispatcher();
	runs_unregistered(FOO, 0, "--seccomp", "a seccomp filter is in force", "register-pid ");
	refuses(FOO, 0, "--seccomp", "EACCES", "a seccomp filter is in force");
}

static void mptcp(void **state)
{
	(void)netns_or_skip(state);
	guest_dispatcher();
	for (int strict = 0; strict < 2; strict++) {
		struct process *p =
			guest_start(&(struct guest_options){ .env = { FOO, strict ? FAIL : NULL } },
				    "server", "mptcp,127.0.0.1,8080", NULL);

		assert_non_null(
			strstr(process_stdout(p), strict ? "listen=-1 errno=EACCES" : "listen=0"));
		guest_said(p, "MPTCP");
		guest_said(p, "GODEBUG=multipathtcp=0");
		guest_said(p, strict ? "listen() is refused" : "under 'foo': ");
		process_stop(p, SIGTERM);
	}
}

/* What only shows when the socket is put: the slots are frozen. A listener is shut down again, a
 * UDP socket stays bound. */
static void failure_after_the_call(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	guest_dispatcher();
	bpftool_on(ns, "freeze", "labels/foo/ipv4-tcp");
	bpftool_on(ns, "freeze", "labels/foo/ipv4-udp");
	runs_unregistered(FOO, 0, NO_OPTION, "are frozen", "'isomer-loader revoke foo'");

	p = guest_start(&(struct guest_options){ .env = { FOO, FAIL } }, "server",
			"tcp,127.0.0.1,8080", NULL);
	assert_non_null(strstr(process_stdout(p), "listen=-1 errno=EACCES fd=3 accepting=0"));
	guest_refused("127.0.0.1", 8080);
	guest_said(p, "the listener is shut down");
	process_stop(p, SIGTERM);

	/* Others may have one that listens already. */
	p = guest_start(&(struct guest_options){ .env = { FOO, FAIL } }, "server",
			"tcp,127.0.0.1,8080,listening", NULL);
	assert_non_null(strstr(process_stdout(p), "listen=-1 errno=EACCES fd=3 accepting=1"));
	guest_said(p, "listen() fails");
	process_stop(p, SIGTERM);

	p = guest_start(&(struct guest_options){ .env = { FOO, FAIL } }, "server",
			"udp,127.0.0.1,8053", NULL);
	assert_non_null(strstr(process_stdout(p), "bind=-1 errno=EACCES fd=3 accepting=0 bound=1"));
	guest_said(p, "bind() fails though the address is taken");
	process_stop(p, SIGTERM);
}

static void malformed_rules(void **state)
{
	static const char rules[] = "ISOMER_RULES=foo=tcp:*:8080;foo=tcp:*:x";
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = guest_start(&(struct guest_options){ .env = { FOO, rules } }, "server",
			"tcp,127.0.0.1,8080", "tcp,127.0.0.1,8081", "udp,127.0.0.1,8053", NULL);
	guest_serves("127.0.0.1", 8080, "guest");
	guest_refused("127.0.0.9", 4321);
	guest_said(p, "ISOMER_RULES: rule 2: 'foo=tcp:*:x': the port must be a number, a range "
		      "or *; nothing is registered");
	process_stop(p, SIGTERM);

	p = guest_start(&(struct guest_options){ .env = { FOO, rules, FAIL } }, "server",
			"tcp,127.0.0.1,8080", "udp,127.0.0.1,8053", "udp,127.0.0.1,0", NULL);
	assert_non_null(strstr(process_stdout(p), "8080: listen=-1 errno=EACCES"));
	assert_non_null(strstr(process_stdout(p), "8053: bind=-1 errno=EACCES"));
	assert_non_null(strstr(process_stdout(p), "udp,127.0.0.1,0: bind=0"));
	guest_said(p, "rule 2: 'foo=tcp:*:x'");
	process_stop(p, SIGTERM);
}

static void malformed_label(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	p = guest_start(&(struct guest_options){ .env = { "ISOMER_LABEL=a/b\nc" } }, "server",
			"tcp,127.0.0.1,8080", NULL);
	guest_serves("127.0.0.1", 8080, "guest");
	guest_said(p, "ISOMER_LABEL: 'a/b?c': ");
	process_stop(p, SIGTERM);
}

static void malformed_word(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = guest_start(&(struct guest_options){ .env = { FOO, "ISOMER_ON_ERROR=Fail" } }, "server",
			"tcp,127.0.0.1,8080", "tcp,127.0.0.1,8080,again", NULL);
	guest_serves("127.0.0.9", 4321, "guest");
	guest_said(p, "ISOMER_ON_ERROR: 'Fail': must be warn, ignore or fail; warn is used");
	process_stop(p, SIGTERM);
}

static void strict_is_no_hindrance_where_all_is_well(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = guest_start(
		&(struct guest_options){ .env = { FOO, FAIL, "ISOMER_RULES=-=tcp:*:7070" } },
		"server", "tcp,127.0.0.1,8080,again", "udp,127.0.0.1,8053", "tcp,127.0.0.1,8080",
		"tcp,127.0.0.1,7070", NULL);
	assert_non_null(strstr(process_stdout(p), "8080,again: listen=0 errno=untouched"));
	assert_non_null(strstr(process_stdout(p), "8053: bind=0 errno=untouched"));
	assert_non_null(strstr(process_stdout(p), "8080: bind=-1 errno=EADDRINUSE"));
	assert_non_null(strstr(process_stdout(p), "7070: listen=0 errno=untouched"));
	guest_serves("127.0.0.9", 4321, "guest");
	guest_said_nothing(p);
	process_stop(p, SIGTERM);
}

/* A resolver binds a port for each query, whatever has become of the dispatcher. */
static void strict_lets_a_resolver_bind_its_ports(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = guest_start(&(struct guest_options){ .env = { FOO, FAIL } }, "server",
			"udp,127.0.0.1,8053", "udp,127.0.0.1,8054", "--no-proc",
			"udp,127.0.0.1,8055", "udp,127.0.0.1,0", NULL);
	assert_non_null(strstr(process_stdout(p), "8054: bind=0 errno=untouched"));
	assert_non_null(strstr(process_stdout(p), "8055: bind=0 errno=untouched"));
	assert_non_null(strstr(process_stdout(p), ",0: bind=0 errno=untouched"));
	guest_said_nothing(p);
	process_stop(p, SIGTERM);
}

/* Sockets that nothing is said about are refused nothing. */
static void strict_concerns_only_what_is_to_be_registered(void **state)
{
	struct process *p;

	(void)netns_or_skip(state); /* no dispatcher */
	p = guest_start(&(struct guest_options){ .env = { FAIL, "ISOMER_RULES=foo=tcp:*:8080;"
								"-=tcp:*:7070;foo=udp:*:6061" } },
			"server", "tcp,127.0.0.1,7070", "tcp,127.0.0.1,9090", "udp,127.0.0.1,8080",
			"udp,127.0.0.1,6060,again", "tcp,127.0.0.1,8080", NULL);
	assert_non_null(strstr(process_stdout(p), "7070: listen=0"));
	assert_non_null(strstr(process_stdout(p), "9090: listen=0"));
	assert_non_null(strstr(process_stdout(p), "udp,127.0.0.1,8080: bind=0"));
	/* What the kernel is going to refuse anyway, it refuses. */
	assert_non_null(strstr(process_stdout(p), "6060,again: bind=-1 errno=EINVAL"));
	assert_non_null(strstr(process_stdout(p), "8080: listen=-1 errno=ENOENT"));
	process_stop(p, SIGTERM);
}

/* Whose bind() the library looks at beforehand, dies of no pointer that the kernel only refuses. */
static void strict_leaves_wild_addresses_to_the_kernel(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	for (int alone = 0; alone < 2; alone++) {
		p = guest_start(&(struct guest_options){ .env = { FOO, FAIL }, .alone = alone },
				"wild", NULL);
		assert_string_equal(process_stdout(p),
				    "errno=EFAULT\nerrno=EFAULT\nerrno=EFAULT\nready\n");
		guest_said_nothing(p);
		process_stop(p, SIGTERM);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		netns_test(no_dispatcher),
		netns_test(unknown_label),
		netns_test(no_grant),
		netns_test(socket_of_another_namespace),
		netns_test(nothing_mounted),
		netns_test(another_bpffs),
		netns_test(bpffs_that_may_not_be_searched),
		netns_test(folder_of_somebody_else),
		netns_test(folder_that_others_may_write),
		netns_test(state_of_another_schema),
		netns_test(seccomp_filter),
		netns_test(mptcp),
		netns_test(failure_after_the_call),
		netns_test(malformed_rules),
		netns_test(malformed_label),
		netns_test(malformed_word),
		netns_test(strict_is_no_hindrance_where_all_is_well),
		netns_test(strict_lets_a_resolver_bind_its_ports),
		netns_test(strict_concerns_only_what_is_to_be_registered),
		netns_test(strict_leaves_wild_addresses_to_the_kernel),
	};

	return cmocka_run_group_tests_name("preload_failures", tests, NULL, NULL);
}
