/* SPDX-License-Identifier: BSD-3-Clause */
/* Who may register, and what those who may not can try: the access control of labels. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/state_checker.h"

#define NOBODY   GUEST_NOBODY
#define STRANGER 1001
#define GROUP    1234

/* "foo" is the label that somebody is granted, "bar" the one that nobody must get at. */
#define FOO_IP    "127.0.0.2"
#define BAR_IP    "127.0.0.3"
#define PORT      4321
#define PORT_TEXT "4321"

static void load(void)
{
	loader_ok("load", "--max-destinations", "64", NULL);
	loader_ok("bind", "foo", "tcp", FOO_IP, PORT_TEXT, NULL);
	loader_ok("bind", "bar", "tcp", BAR_IP, PORT_TEXT, NULL);
}

/* ---- servers ---- */

/* A server under the library, without any privilege. */
static struct process *start_server(uid_t uid, gid_t gid, const char *label, const char *name,
				    const char *socket)
{
	const char *argv[] = { guest_path("server"), "--name", name, socket, NULL };
	char preload[PATH_MAX + 16], variable[300];
	const char *env[] = { preload, variable, NULL };
	struct process *p;

	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", preload_path());
	snprintf(variable, sizeof(variable), "ISOMER_LABEL=%s", label);
	p = process_start(&(struct process_options){
		.argv = argv, .env = env, .uid = uid, .gid = gid, .no_new_privs = true });
	process_wait_output(p, "ready");
	return p;
}

static void is_not_registered(struct process *p)
{
	guest_said(p, "cannot register tcp ");
	guest_said(p, "isomer-loader grant foo");
}

static void foo_is_served_by(const char *name)
{
	guest_serves(FOO_IP, PORT, name);
}

static void foo_is_refused(void)
{
	guest_refused(FOO_IP, PORT);
}

/* Registers a listener of the test itself. */
static int register_own(const char *label, uint16_t port)
{
	int fd = tcp_listen("127.0.0.1", port);

	assert_return_code(fd, -fd);
	loader_register(getpid(), label, "tcp", "127.0.0.1", port);
	return fd;
}

static void bar_is_served_by(int listener)
{
	assert_int_equal(tcp_who_accepts(BAR_IP, PORT, &listener, 1), 0);
}

/* ---- attacks ---- */

#define ARGS_MAX 512

struct arguments {
	char *text[ARGS_MAX];
	size_t n;
};

static void add(struct arguments *args, const char *text)
{
	assert_in_range(args->n, 0, ARGS_MAX - 2);
	args->text[args->n] = strdup(text);
	assert_non_null(args->text[args->n++]);
}

static void arguments_done(struct arguments *args)
{
	while (args->n)
		free(args->text[--args->n]);
}

static struct process_options attacker(uid_t uid, struct arguments *args)
{
	args->text[args->n] = NULL;
	return (struct process_options){ .argv = (const char *const *)args->text,
					 .uid = uid,
					 .no_new_privs = true };
}

/* An attack on many paths fails on each of them: @result, or NULL: EACCES or EPERM. */
static void fails_everywhere(uid_t uid, struct arguments *args, size_t n_paths, const char *result)
{
	struct process_options o = attacker(uid, args);
	CLEANUP(command_done) struct command_result r = command_run(&o);
	size_t lines = 0;

	assert_int_equal(r.status, 0);
	for (char *line = r.out, *end; (end = strchr(line, '\n')); line = end + 1) {
		const char *told;

		*end = '\0';
		told = strrchr(line, ' ') + 1;
		if (result ? strcmp(told, result) : strcmp(told, "EACCES") && strcmp(told, "EPERM"))
			fail_msg("attack succeeds, or fails in another way: %s", line);
		lines++;
	}
	assert_int_equal(lines, n_paths);
}

/* attack(…, "open", path, NULL): one attack, with its arguments up to a NULL; the last is what it
 * is tried on. */
static void expect(uid_t uid, const char *result, const char *arg, ...) __attribute__((sentinel));

static void expect(uid_t uid, const char *result, const char *arg, ...)
{
	CLEANUP(arguments_done) struct arguments args = { .n = 0 };
	va_list ap;

	add(&args, guest_path("attacker"));
	va_start(ap, arg);
	for (; arg; arg = va_arg(ap, const char *))
		add(&args, arg);
	va_end(ap);
	fails_everywhere(uid, &args, 1, result);
}

static void slots_path(const struct netns_fixture *ns, const char *label, char ret[PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%s/labels/%s/ipv4-tcp", ns->state_dir, label);
}

/* Opens foo's slots, and waits; then, at foo_is_taken_by(), fills them with its own listener. */
static struct process *start_holder(const struct netns_fixture *ns, uid_t uid, gid_t gid)
{
	char path[PATH_MAX];
	const char *argv[] = {
		guest_path("attacker"), "hold", "127.0.0.1", "9999", path, "/", "serve", NULL
	};
	struct process *p;

	slots_path(ns, "foo", path);
	p = process_start(&(struct process_options){
		.argv = argv, .uid = uid, .gid = gid, .no_new_privs = true });
	process_wait_output(p, "holding");
	return p;
}

static void holder_fills(struct process *p)
{
	assert_int_equal(kill(process_pid(p), SIGUSR1), 0);
	process_wait_output(p, "serving");
	assert_non_null(strstr(process_stdout(p), "ipv4-tcp: done"));
}

/* ---- grants ---- */

static void a_granted_server_gets_the_traffic_and_another_runs_on(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	load();
	p = start_server(NOBODY, 0, "foo", "early", "tcp,127.0.0.1,8080");
	is_not_registered(p);
	guest_serves("127.0.0.1", 8080, "early");
	foo_is_refused();
	process_stop(p, SIGTERM);

	loader_ok("grant", "foo", "nobody", NULL);
	p = start_server(NOBODY, 0, "foo", "granted", "tcp,127.0.0.1,8080");
	guest_said_nothing(p);
	foo_is_served_by("granted");

	/* Neither with another user nor under another label. */
	is_not_registered(start_server(STRANGER, 0, "foo", "stranger", "tcp,127.0.0.1,8081"));
	guest_said(start_server(NOBODY, 0, "bar", "greedy", "tcp,127.0.0.1,8082"),
		   "isomer-loader grant bar");
	foo_is_served_by("granted");
	guest_refused(BAR_IP, PORT);
	process_stop(p, SIGTERM);
	foo_is_refused();
}

static void a_grant_to_another_replaces_the_former_and_says_so(void **state)
{
	struct command_result r;
	struct process *p;

	(void)netns_or_skip(state);
	load();
	loader_ok("grant", "foo", "nobody", NULL);
	p = start_server(NOBODY, 0, "foo", "former", "tcp,127.0.0.1,8080");
	foo_is_served_by("former");

	r = loader("grant", "foo", "1001", NULL);
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, "granted foo to 1001\n");
	assert_non_null(strstr(r.err, "this replaces the grant of label 'foo' to nobody\n"));
	assert_non_null(strstr(r.err, "label 'foo' lost a socket of pid ")); /* how to go on */
	assert_non_null(strstr(r.err, " foo tcp 127.0.0.1 8080' registers it again"));
	command_done(&r);
	foo_is_refused();
	is_not_registered(start_server(NOBODY, 0, "foo", "again", "tcp,127.0.0.1,8081"));
	p = start_server(STRANGER, 0, "foo", "new", "tcp,127.0.0.1,8082");
	guest_said_nothing(p);
	foo_is_served_by("new");
}

static void a_grant_that_takes_nothing_away_loses_no_socket(void **state)
{
	struct command_result r;

	(void)netns_or_skip(state);
	load();
	loader_ok("grant", "foo", "nobody", NULL);
	(void)start_server(NOBODY, 0, "foo", "kept", "tcp,127.0.0.1,8080");
	r = loader("grant", "foo", "nobody:1234", NULL);
	assert_int_equal(r.status, 0);
	assert_null(strstr(r.err, "lost"));
	command_done(&r);
	foo_is_served_by("kept");
}

static void a_group_may_be_granted(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	load();
	loader_ok("grant", "foo", "root:1234", NULL);
	p = start_server(STRANGER, GROUP, "foo", "member", "tcp,127.0.0.1,8080");
	guest_said_nothing(p);
	foo_is_served_by("member");
	is_not_registered(start_server(STRANGER, 0, "foo", "other", "tcp,127.0.0.1,8081"));
	is_not_registered(start_server(NOBODY, 0, "foo", "other", "tcp,127.0.0.1,8082"));

	/* User and group: either is enough. */
	loader_ok("grant", "foo", "nobody:1234", NULL);
	guest_said_nothing(start_server(NOBODY, 0, "foo", "user", "tcp,127.0.0.1,8083"));
	foo_is_served_by("user");
	guest_said_nothing(
		start_server(STRANGER, GROUP, "foo", "member again", "tcp,127.0.0.1,8084"));
	foo_is_served_by("member again");
	is_not_registered(start_server(STRANGER, 0, "foo", "other", "tcp,127.0.0.1,8085"));

	loader_ok("revoke", "foo", NULL);
	is_not_registered(start_server(STRANGER, GROUP, "foo", "late", "tcp,127.0.0.1,8086"));
	foo_is_refused();
}

/* The operator's own commands need no grant, whoever has one. */
static void root_registers_and_unregisters_under_a_granted_label(void **state)
{
	CLEANUP_FD int own = -1;

	(void)netns_or_skip(state);
	load();
	loader_ok("grant", "foo", "nobody", NULL);
	own = register_own("foo", 8080);
	assert_int_equal(tcp_who_accepts(FOO_IP, PORT, &own, 1), 0);
	guest_said_nothing(start_server(0, 0, "foo", "root", "tcp,127.0.0.1,8081"));
	foo_is_served_by("root");
	loader_ok("unregister", "foo", "ipv4", "tcp", NULL);
	foo_is_refused();
}

/* ---- what a granted user may try ---- */

struct search {
	const char *except; /* paths with this in them are left out */
	bool folders;       /* or pins */
	struct arguments *args;
	const char *behind;
	size_t n;
};

static void add_path(const char *path, void *arg)
{
	struct search *s = arg;
	char text[PATH_MAX];
	struct stat sb;

	assert_int_equal(lstat(path, &sb), 0);
	if ((s->except && strstr(path, s->except)) || S_ISDIR(sb.st_mode) != s->folders)
		return;
	snprintf(text, sizeof(text), "%.4000s%s", path, s->behind);
	add(s->args, text);
	s->n++;
}

/* An attack on all pins but foo's. @with: an argument before the paths, or NULL. */
static void fails_on_pins(const struct netns_fixture *ns, uid_t uid, const char *attack,
			  const char *with)
{
	CLEANUP(arguments_done) struct arguments args = { .n = 0 };
	struct search s = { .except = "/labels/foo/", .args = &args, .behind = "" };

	add(&args, guest_path("attacker"));
	add(&args, attack);
	if (with)
		add(&args, with);
	state_walk(ns->bpffs, add_path, &s);
	assert_true(s.n >= 13); /* seven, an index, a list, and four of bar */
	fails_everywhere(uid, &args, s.n, NULL);
}

/* An attack on all folders; @behind is put behind their names. */
static void fails_on_folders(const struct netns_fixture *ns, uid_t uid, const char *attack,
			     const char *with, const char *behind)
{
	CLEANUP(arguments_done) struct arguments args = { .n = 0 };
	struct search s = { .folders = true, .args = &args, .behind = behind };

	add(&args, guest_path("attacker"));
	add(&args, attack);
	if (with)
		add(&args, with);
	state_walk(ns->bpffs, add_path, &s);
	add_path(ns->bpffs, &s);
	assert_true(s.n >= 7);
	fails_everywhere(uid, &args, s.n, NULL);
}

static void other_pins_cannot_be_opened_for_writing(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *before = NULL;
	CLEANUP_FD int bar = -1;
	char id[16];

	load();
	loader_ok("grant", "foo", "nobody", NULL);
	bar = register_own("bar", 8080);
	before = state_dump(ns->bpffs);
	fails_on_pins(ns, NOBODY, "open", NULL);
	fails_on_pins(ns, NOBODY, "open-write", NULL);
	fails_on_pins(ns, NOBODY, "through-read", NULL);
	fails_on_pins(ns, NOBODY, "freeze", NULL);
	fails_on_pins(ns, NOBODY, "empty", NULL);
	fails_on_pins(ns, NOBODY, "overwrite", NULL);
	fails_on_pins(ns, NOBODY, "mode", "0666");
	fails_on_pins(ns, NOBODY, "own", NULL);
	snprintf(id, sizeof(id), "%u", state_map_id(ns, "labels/bar/ipv4-tcp"));
	expect(NOBODY, "EPERM", "by-id", id, NULL);
	state_is_still(ns->bpffs, before);
	bar_is_served_by(bar);
}

static void no_folder_can_be_changed(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *before = NULL;
	CLEANUP_FD int bar = -1;
	char own[PATH_MAX];

	load();
	loader_ok("grant", "foo", "nobody", NULL);
	bar = register_own("bar", 8080);
	slots_path(ns, "foo", own);
	before = state_dump(ns->bpffs);
	fails_on_folders(ns, NOBODY, "create", NULL, "/new");
	fails_on_folders(ns, NOBODY, "symlink", own, "/new");
	fails_on_folders(ns, NOBODY, "link", own, "/new");
	fails_on_folders(ns, NOBODY, "pin", own, "/new");
	fails_on_folders(ns, NOBODY, "replace", own, "/new");
	fails_on_folders(ns, NOBODY, "mode", "0777", "");
	fails_on_folders(ns, NOBODY, "own", NULL, "");
	fails_on_pins(ns, NOBODY, "remove", NULL);
	fails_on_pins(ns, NOBODY, "rename", NULL);
	fails_on_pins(ns, NOBODY, "replace", own);
	expect(NOBODY, "EACCES", "remove", own, NULL);
	expect(NOBODY, "EACCES", "rename", own, NULL);
	state_is_still(ns->bpffs, before);
	bar_is_served_by(bar);
}

/* Folders themselves, and the lock: nobody but root stops a writer. */
static void no_folder_can_be_taken(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	static const char *const names[] = { "",         "/labels", "/labels/foo", "/labels/bar",
					     "/staging", "/lock" };
	CLEANUP_FREE char *before = NULL;
	char path[PATH_MAX];

	load();
	loader_ok("grant", "foo", "nobody", NULL);
	before = state_dump(ns->bpffs);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s%s", ns->state_dir, names[i]);
		expect(NOBODY, "EACCES", "lock", path, NULL);
		expect(NOBODY, "EACCES", "remove", path, NULL);
		expect(NOBODY, "EACCES", "rename", path, NULL);
	}
	state_is_still(ns->bpffs, before);
}

/* ---- what he may do to his own label ---- */

static void a_frozen_label_is_mended_by_a_new_grant(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FD int bar = -1;
	struct process *p, *old;
	char path[PATH_MAX];

	load();
	loader_ok("grant", "foo", "nobody", NULL);
	old = start_server(NOBODY, 0, "foo", "old", "tcp,127.0.0.1,8080");
	slots_path(ns, "foo", path);
	expect(NOBODY, "done", "freeze", path, NULL);

	/* Nobody registers under foo any more; what is registered stays, and others are not
	 * concerned. */
	p = start_server(NOBODY, 0, "foo", "late", "tcp,127.0.0.1,8081");
	guest_said(p, "cannot register tcp 127.0.0.1:8081 under 'foo'");
	foo_is_served_by("old");
	process_stop(old, SIGTERM);
	foo_is_refused();
	bar = register_own("bar", 8082);
	bar_is_served_by(bar);
	loader_ok("bind", "foo", "tcp", FOO_IP, "80", NULL);
	loader_ok("unbind", "foo", "tcp", FOO_IP, "80", NULL);
	loader_ok("status", NULL);
	state_check(ns);

	loader_ok("revoke", "foo", NULL);
	loader_ok("grant", "foo", "nobody", NULL);
	p = start_server(NOBODY, 0, "foo", "new", "tcp,127.0.0.1,8083");
	guest_said_nothing(p);
	foo_is_served_by("new");
	expect(NOBODY, "done", "freeze", path, NULL);
	loader_ok("unload", NULL);
}

static void a_descriptor_kept_over_a_revoke_is_worthless(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	load();
	loader_ok("grant", "foo", "nobody", NULL);
	p = start_holder(ns, NOBODY, 0);
	holder_fills(p); /* without a revoke it is worth something */
	foo_is_served_by("attacker");
	process_stop(p, SIGTERM);

	p = start_holder(ns, NOBODY, 0);
	loader_ok("revoke", "foo", NULL);
	holder_fills(p);
	foo_is_refused();
	process_stop(p, SIGTERM);
	state_check(ns);
}

static void a_descriptor_kept_over_a_grant_to_another_is_worthless(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *user, *member;

	load();
	loader_ok("grant", "foo", "nobody", NULL);
	user = start_holder(ns, NOBODY, 0);
	loader_ok("grant", "foo", "1001:1234", NULL);
	(void)start_server(STRANGER, 0, "foo", "new", "tcp,127.0.0.1,8080");
	holder_fills(user);
	foo_is_served_by("new");
	process_stop(user, SIGTERM);

	member = start_holder(ns, NOBODY, GROUP);
	loader_ok("grant", "foo", "1001", NULL);
	(void)start_server(STRANGER, 0, "foo", "newest", "tcp,127.0.0.1,8081");
	holder_fills(member);
	foo_is_served_by("newest");
	process_stop(member, SIGTERM);
	state_check(ns);
}

/* He may let others in, under his own label alone, until that is taken back. */
static void his_own_mode_concerns_his_label_alone(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FD int bar = -1;
	char foo_path[PATH_MAX], bar_path[PATH_MAX];
	struct process *p;

	load();
	loader_ok("grant", "foo", "nobody", NULL);
	bar = register_own("bar", 8080);
	slots_path(ns, "foo", foo_path);
	slots_path(ns, "bar", bar_path);
	expect(STRANGER, "EACCES", "open", foo_path, NULL);
	expect(NOBODY, "done", "mode", "0666", foo_path, NULL);

	p = start_holder(ns, STRANGER, 0);
	expect(STRANGER, "EACCES", "open", bar_path, NULL);
	bar_is_served_by(bar);
	loader_ok("revoke", "foo", NULL);
	holder_fills(p);
	foo_is_refused();
	expect(STRANGER, "EACCES", "open", foo_path, NULL);
	state_check(ns);
}

/* Pins that their owner let nobody read must not be in the operator's way. */
static void his_own_mode_stops_no_command(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP(arguments_done) struct arguments args = { .n = 0 };
	struct search s = { .except = "/labels/bar/", .args = &args, .behind = "" };
	CLEANUP_FD int bar = -1, foo = -1;
	char labels[PATH_MAX];

	load();
	loader_ok("grant", "foo", "nobody", NULL);
	bar = register_own("bar", 8080);
	add(&args, guest_path("attacker"));
	add(&args, "mode");
	add(&args, "0");
	snprintf(labels, sizeof(labels), "%s/labels", ns->state_dir);
	state_walk(labels, add_path, &s);
	fails_everywhere(NOBODY, &args, 4, "done");

	bar_is_served_by(bar);
	loader_ok("status", NULL);
	loader_ok("status", "foo", NULL);
	loader_ok("bindings", NULL);
	loader_ok("metrics", "--once", NULL);
	loader_ok("bind", "foo", "udp", FOO_IP, PORT_TEXT, NULL);
	loader_ok("unbind", "foo", "udp", FOO_IP, PORT_TEXT, NULL);
	foo = register_own("foo", 8081);
	assert_int_equal(tcp_who_accepts(FOO_IP, PORT, &foo, 1), 0);
	loader_ok("unregister", "foo", "ipv4", "tcp", NULL);
	loader_ok("revoke", "foo", NULL);
	state_check(ns);
}

static void nothing_that_he_does_stops_unload(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *before = state_dump(ns->bpffs);
	char path[PATH_MAX];

	load();
	loader_ok("grant", "foo", "nobody", NULL);
	slots_path(ns, "foo", path);
	expect(NOBODY, "done", "freeze", path, NULL);
	expect(NOBODY, "done", "mode", "0", path, NULL);
	loader_ok("unload", NULL);
	state_is_still(ns->bpffs, before);
}

/* ---- what a user without a grant may try ---- */

static void without_a_grant_traffic_is_neither_taken_nor_stopped(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	char path[PATH_MAX];
	const char *argv[] = {
		guest_path("attacker"), "fill", FOO_IP, PORT_TEXT, path, "/", "serve", NULL
	};
	CLEANUP_FREE char *before = NULL;
	struct process *server, *p;

	load();
	loader_ok("grant", "foo", "nobody", NULL);
	server = start_server(NOBODY, 0, "foo", "granted", "tcp,127.0.0.1,8080");
	slots_path(ns, "foo", path);
	before = state_dump(ns->bpffs);
	expect(STRANGER, "EPERM", "through-read", path, NULL);
	expect(STRANGER, "EACCES", "freeze", path, NULL);
	expect(STRANGER, "EACCES", "empty", path, NULL);
	expect(STRANGER, "EPERM", "mode", "0666", path, NULL);
	expect(STRANGER, "EPERM", "own", path, NULL);

	/* A listener on the very address and port that is bound. */
	p = process_start(
		&(struct process_options){ .argv = argv, .uid = STRANGER, .no_new_privs = true });
	process_wait_output(p, "serving");
	assert_non_null(strstr(process_stdout(p), "ipv4-tcp: EACCES"));
	state_is_still(ns->bpffs, before); /* which has counters, so before any traffic */
	foo_is_served_by("granted");
	process_stop(server, SIGTERM);
	foo_is_refused(); /* rather than served by somebody else */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(a_granted_server_gets_the_traffic_and_another_runs_on),
		netns_test(a_grant_to_another_replaces_the_former_and_says_so),
		netns_test(a_grant_that_takes_nothing_away_loses_no_socket),
		netns_test(a_group_may_be_granted),
		netns_test(root_registers_and_unregisters_under_a_granted_label),
		netns_test(other_pins_cannot_be_opened_for_writing),
		netns_test(no_folder_can_be_changed),
		netns_test(no_folder_can_be_taken),
		netns_test(a_frozen_label_is_mended_by_a_new_grant),
		netns_test(a_descriptor_kept_over_a_revoke_is_worthless),
		netns_test(a_descriptor_kept_over_a_grant_to_another_is_worthless),
		netns_test(his_own_mode_concerns_his_label_alone),
		netns_test(his_own_mode_stops_no_command),
		netns_test(nothing_that_he_does_stops_unload),
		netns_test(without_a_grant_traffic_is_neither_taken_nor_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
