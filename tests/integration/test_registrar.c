/* SPDX-License-Identifier: BSD-3-Clause */
/* Servers that cannot register by themselves, and the registrar that does it for them. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "integration/registrar_client.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/second_netns.h"

#define FOO          "ISOMER_LABEL=foo"
#define INFO         "ISOMER_LOG=info"
#define FAIL         "ISOMER_ON_ERROR=fail"
#define BY_BPF       "ISOMER_VIA=bpf"
#define BY_REGISTRAR "ISOMER_VIA=registrar"

/* ---- servers that need it ---- */

/* What `systemd-analyze syscall-filter` prints, as a file in memory. */
static int system_call_groups(void)
{
	struct command_result r = command_run(&(struct process_options){
		.argv = (const char *const[]){ "systemd-analyze", "syscall-filter", NULL } });
	int fd = memfd_create("groups", MFD_CLOEXEC);

	assert_int_equal(r.status, 0);
	assert_int_equal(write(fd, r.out, strlen(r.out)), strlen(r.out));
	command_done(&r);
	return fd;
}

/* As systemd would start it with SystemCallFilter=@system-service. */
static struct process *start_filtered(const char *env, const char *socket, uid_t uid)
{
	CLEANUP_FD int groups = system_call_groups();
	char server[4096];

	snprintf(server, sizeof(server), "%s", guest_path("server"));
	return guest_start(
		&(struct guest_options){ .env = { FOO, INFO, env }, .pass_fd = groups, .uid = uid },
		"filtered", "/proc/self/fd/3", "@system-service", server, socket, NULL);
}

static void a_server_under_systemds_filter_gets_the_traffic(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	registrar_start();
	loader_ok("grant", "foo", "nobody", NULL);
	for (int strict = 0; strict < 2; strict++) {
		p = start_filtered(strict ? FAIL : NULL, "tcp,::,8080,dual", GUEST_NOBODY);
		guest_said(p, "registered tcp [::]:8080 under 'foo': ipv4 slot 1, ipv6 slot 1");
		guest_serves("127.0.0.9", 4321, "guest");
		guest_serves("::1", 4321, "guest");
		process_stop(p, SIGTERM);
		p = start_filtered(strict ? FAIL : NULL, "udp,127.0.0.1,8053", GUEST_NOBODY);
		guest_said(p, "registered udp 127.0.0.1:8053 under 'foo': ipv4 slot 1");
		guest_send("127.0.0.9", 4321, "hello");
		process_wait_output(p, "guest got hello");
		process_stop(p, SIGTERM);
	}
}

/* So that the test above shows something: this filter does kill who calls bpf(). */
static void who_is_forced_to_call_bpf_dies_of_the_filter(void **state)
{
	CLEANUP_FD int groups = -1;
	const char *argv[] = { guest_path("filtered"), "/proc/self/fd/3",
			       "@system-service",      NULL,
			       "tcp,127.0.0.1,8080",   NULL };
	CLEANUP_FREE char *preload = NULL, *server = NULL;
	struct command_result r;

	(void)netns_or_skip(state);
	guest_dispatcher();
	groups = system_call_groups();
	server = strdup(guest_path("server"));
	argv[0] = guest_path("filtered");
	argv[3] = server;
	assert_true(asprintf(&preload, "LD_PRELOAD=%s", preload_path()) > 0);
	r = command_run(&(struct process_options){
		.argv = argv,
		.env = (const char *const[]){ preload, FOO, BY_BPF, NULL },
		.pass_fd = groups,
	});
	assert_int_equal(r.status, 128 + SIGSYS);
	command_done(&r);
}

/* As in a container: other network and mount namespaces, no BPF filesystem, and the Unix socket. */
static void a_server_in_a_container_gets_the_traffic_of_its_namespace(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	const struct guest_options there = { .env = { FOO, INFO }, .uid = GUEST_NOBODY };
	struct guest_options options = there;
	struct second_netns s;
	struct process *p;

	guest_dispatcher();
	registrar_start();
	second_netns_make(ns, &s);
	loader_ok("--netns", s.path, "load", NULL);
	loader_ok("--netns", s.path, "bind", "foo", "tcp", "127.0.0.0/8", "4321", NULL);
	loader_ok("--netns", s.path, "grant", "foo", "nobody", NULL);

	options.netns = s.path;
	p = guest_start(&options, "server", "tcp,127.0.0.1,8080", NULL);
	guest_said(p, "registered tcp 127.0.0.1:8080 under 'foo': ipv4 slot 1");
	THERE(&s, guest_serves("127.0.0.9", 4321, "guest"));
	guest_refused("127.0.0.9", 4321);
	process_stop(p, SIGTERM);
	second_netns_done(&s);
}

/* As systemd mounts it. */
static void a_server_that_may_not_search_the_bpf_filesystem_registers(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	guest_dispatcher();
	registrar_start();
	loader_ok("grant", "foo", "nobody", NULL);
	assert_return_code(chmod(ns->bpffs, 0700), errno);
	p = guest_start(&(struct guest_options){ .env = { FOO, FAIL }, .uid = GUEST_NOBODY },
			"server", "tcp,127.0.0.1,8080", "udp,127.0.0.1,8053", NULL);
	guest_serves("127.0.0.9", 4321, "guest");
	guest_send("127.0.0.9", 4321, "hello");
	process_wait_output(p, "guest got hello");
	guest_said_nothing(p);
	process_stop(p, SIGTERM);
}

/* The rules of one process are the same by either way. */
static void one_process_takes_as_much_as_by_the_other_way(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	guest_dispatcher();
	registrar_start();
	for (int i = 0; i < 2; i++) {
		struct process *p = guest_start(
			&(struct guest_options){ .env = { FOO, i ? BY_REGISTRAR : BY_BPF } },
			"server", "tcp,127.0.0.1,8080,reuseport,again",
			"tcp,127.0.0.1,8080,reuseport", "tcp,127.0.0.1,8080,reuseport",
			"udp,127.0.0.1,8053", "udp,127.0.0.1,8054", "tcp,127.0.0.1,8081", NULL);

		guest_said(p, "8081 is not registered: by ISOMER_LABEL alone");
		assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_TCP), 2);
		assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_UDP), 1);
		process_stop(p, SIGTERM);

		p = guest_start(&(struct guest_options){ .env = { i ? BY_REGISTRAR : BY_BPF,
								  "ISOMER_RULES=foo=*:*:*" } },
				"server", "tcp,127.0.0.1,8080", "tcp,127.0.0.1,8081",
				"tcp,127.0.0.1,8082,close", NULL);
		guest_said_nothing(p);
		assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_TCP), 2);
		process_stop(p, SIGTERM);
	}
}

/* ---- its life ---- */

static void its_end_stops_no_traffic_and_its_successor_takes_over(void **state)
{
	struct process *registrar, *old, *new;

	(void)netns_or_skip(state);
	guest_dispatcher();
	registrar = registrar_start();
	old = guest_start(&(struct guest_options){ .env = { FOO, BY_REGISTRAR } }, "server",
			  "--name", "old", "tcp,127.0.0.1,8080", NULL);
	assert_int_equal(process_stop(registrar, SIGTERM), 0);
	guest_serves("127.0.0.9", 4321, "old");

	new = guest_start(&(struct guest_options){ .env = { FOO, BY_REGISTRAR } }, "server",
			  "--name", "new", "tcp,127.0.0.1,8081", NULL);
	guest_said(new, "no registrar is at /run/isomer/registrar.sock: run 'isomer-loader "
			"registrar' as root");
	guest_serves("127.0.0.9", 4321, "old");
	process_stop(new, SIGTERM);

	registrar = registrar_start(); /* in the place of the socket that was left */
	new = guest_start(&(struct guest_options){ .env = { FOO, BY_REGISTRAR } }, "server",
			  "--name", "new", "tcp,127.0.0.1,8081", NULL);
	guest_serves("127.0.0.9", 4321, "new");
	process_stop(registrar, SIGKILL);
	guest_serves("127.0.0.9", 4321, "new");
	process_stop(new, SIGTERM);
	guest_serves("127.0.0.9", 4321, "old");
	process_stop(old, SIGTERM);
}

/* Its effective capabilities, as /proc says. */
static uint64_t capabilities(pid_t pid)
{
	char path[64], line[128] = "";
	uint64_t caps = UINT64_MAX;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, "CapPrm:", 7))
			caps = strtoull(line + 7, NULL, 16);
	fclose(file);
	return caps;
}

static void it_keeps_the_capabilities_that_it_uses(void **state)
{
	/* SETGID SETUID NET_BIND_SERVICE NET_ADMIN SYS_ADMIN BPF */
	const uint64_t used = 1 << 6 | 1 << 7 | 1 << 10 | 1 << 12 | 1 << 21 | UINT64_C(1) << 39;

	(void)netns_or_skip(state);
	assert_int_equal(capabilities(process_pid(registrar_start())), used);
}

static void without_them_it_does_not_start(void **state)
{
	struct command_result r;

	(void)netns_or_skip(state);
	r = command_run(&(struct process_options){
		.argv = (const char *const[]){ loader_path(), "registrar", NULL },
		.uid = GUEST_NOBODY });
	assert_int_equal(r.status, 1);
	assert_non_null(strstr(r.err, "the registrar cannot serve others; what this command may "
				      "need and does not have: "));
	command_done(&r);
}

/* ---- its socket ---- */

static void registrar_says(const char *text, int status, const char *option, const char *value)
{
	struct command_result r = loader("registrar", option, value, NULL);

	assert_int_equal(r.status, status);
	assert_non_null(strstr(r.err, text));
	command_done(&r);
}

static void it_takes_the_place_of_nobody(void **state)
{
	FILE *file;

	(void)netns_or_skip(state);
	registrar_start();
	registrar_says("another registrar serves /run/isomer/registrar.sock: stop it", 1,
		       "--socket", "/run/isomer/registrar.sock");
	file = fopen("/run/isomer/file", "we");
	assert_non_null(file);
	fclose(file);
	registrar_says("/run/isomer/file is no socket of a registrar: remove it", 1, "--socket",
		       "/run/isomer/file");
	assert_int_equal(access("/run/isomer/file", F_OK), 0);
	registrar_says("cannot listen on /run/a/b/c: No such file or directory", 1, "--socket",
		       "/run/a/b/c");
	registrar_says("is not an absolute path", 2, "--socket", "run/c");
	registrar_says("--mode '999' is not an octal number", 2, "--mode", "999");
	registrar_says("--mode '1777' is not an octal number up to 777", 2, "--mode", "1777");
}

static void who_may_connect_is_the_operators_choice(void **state)
{
	const char *argv[] = { loader_path(), "registrar", "--socket", "/run/r", "--mode",
			       "660",         "--group",   "nogroup",  NULL };
	struct process *p;
	struct stat sb;

	(void)netns_or_skip(state);
	guest_dispatcher();
	assert_return_code(mount("none", "/run", "tmpfs", 0, "mode=0755"), errno);
	p = process_start(&(struct process_options){ .argv = argv });
	process_wait_output(p, "Listening on /run/r");
	assert_return_code(stat("/run/r", &sb), errno);
	assert_int_equal(sb.st_mode, S_IFSOCK | 0660);
	assert_int_equal(sb.st_gid, 65534);
	p = guest_start(
		&(struct guest_options){ .env = { FOO, BY_REGISTRAR, "ISOMER_REGISTRAR=/run/r" } },
		"server", "tcp,127.0.0.1,8080", NULL);
	guest_serves("127.0.0.9", 4321, "guest");
	guest_said_nothing(p);
	process_stop(p, SIGTERM);
	p = guest_start(
		&(struct guest_options){ .env = { FOO, BY_REGISTRAR, "ISOMER_REGISTRAR=/run/r" },
					 .uid = 1 },
		"server", "tcp,127.0.0.1,8080", NULL);
	guest_said(p, "uid 1 may not connect to the registrar at /run/r");
	process_stop(p, SIGTERM);
}

static void systemds_socket_is_used_where_there_is_one(void **state)
{
	const char *activate[] = { "systemd-socket-activate",
				   "--seqpacket",
				   "--listen=" ISOMER_REGISTRAR_PATH,
				   loader_path(),
				   "registrar",
				   NULL };
	struct process *p, *registrar;

	(void)netns_or_skip(state);
	guest_dispatcher();
	assert_return_code(mount("none", "/run", "tmpfs", 0, "mode=0755"), errno);
	registrar = process_start(&(struct process_options){ .argv = activate });
	process_wait_output(registrar, "Listening on " ISOMER_REGISTRAR_PATH);
	p = guest_start(&(struct guest_options){ .env = { FOO, BY_REGISTRAR } }, "server",
			"tcp,127.0.0.1,8080", NULL);
	guest_serves("127.0.0.9", 4321, "guest");
	guest_said_nothing(p);
	assert_non_null(strstr(process_stdout(registrar), "Listening on the socket that was "
							  "passed"));
	process_stop(p, SIGTERM);
}

#ifndef __SANITIZE_ADDRESS__ /* whose runtime makes calls of its own at the end */
/* The value of a setting of its unit. */
static char *unit_setting(const char *name)
{
	FILE *file = fopen(ISOMER_UNITS "/isomer-registrar.service", "re");
	char *line = NULL, *value = NULL;
	size_t size = 0, len = strlen(name);

	assert_non_null(file);
	while (!value && getline(&line, &size, file) > 0)
		if (!strncmp(line, name, len) && line[len] == '=')
			value = strndup(line + len + 1, strcspn(line + len + 1, "\n"));
	free(line);
	fclose(file);
	assert_non_null(value);
	return value;
}

static void its_unit_leaves_it_the_system_calls_that_it_makes(void **state)
{
	CLEANUP_FREE char *calls = unit_setting("SystemCallFilter"), *filtered = NULL;
	const struct isomer_registrar_request reply_socket = {
		.magic = ISOMER_REGISTRAR_MAGIC,
		.version = ISOMER_REGISTRAR_VERSION,
		.type = ISOMER_REGISTRAR_REPLY_SOCKET,
		.domain = AF_INET,
		.protocol = IPPROTO_UDP,
		.port = 4321,
		.addr = { 127, 0, 0, 9 },
		.label = "foo",
	};
	CLEANUP_FD int groups = -1, udp = -1, fd = -1;
	struct isomer_registrar_request q;
	struct isomer_registrar_reply reply;
	struct process *registrar;

	(void)netns_or_skip(state);
	guest_dispatcher();
	assert_return_code(mount("none", "/run", "tmpfs", 0, "mode=0755"), errno);
	groups = system_call_groups();
	filtered = strdup(guest_path("filtered"));
	registrar = process_start(&(struct process_options){
		.argv = (const char *const[]){ filtered, "/proc/self/fd/3", calls, loader_path(),
					       "registrar", NULL },
		.pass_fd = groups });
	process_wait_output(registrar, "Listening on");

	udp = udp_bind("127.0.0.1", 8053);
	q = registrar_request(ISOMER_REGISTRAR_CHECK, AF_INET, IPPROTO_UDP);
	reply = registrar_ask(&q, udp, NULL);
	assert_int_equal(reply.error, 0);
	q = registrar_request(ISOMER_REGISTRAR_REGISTER, AF_INET, IPPROTO_UDP);
	reply = registrar_ask(&q, udp, NULL);
	assert_int_equal(reply.error, 0);
	reply = registrar_ask(&reply_socket, udp, &fd);
	assert_int_equal(reply.error, 0);
	assert_int_equal(process_stop(registrar, SIGTERM), 0);
}
#endif

/* ---- when it does not help ---- */

static void one_line_says_what_neither_way_could_do(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = guest_start(&(struct guest_options){ .env = { FOO } }, "server", "--seccomp",
			"tcp,127.0.0.1,8080", "tcp,127.0.0.1,8081", NULL);
	guest_said(p, "a seccomp filter is in force");
	guest_said(p, "no registrar is at /run/isomer/registrar.sock: run 'isomer-loader "
		      "registrar' as root, or run 'isomer-loader register-pid ");
	guest_serves("127.0.0.1", 8080, "guest");
	process_stop(p, SIGTERM);

	registrar_start();
	p = guest_start(&(struct guest_options){ .env = { FOO }, .uid = GUEST_NOBODY }, "server",
			"--seccomp", "tcp,127.0.0.1,8080", "tcp,127.0.0.1,8081", NULL);
	guest_said(p, "uid 65534 has no grant for this label; run 'isomer-loader grant foo 65534'");
	process_stop(p, SIGTERM);
	p = guest_start(&(struct guest_options){ .env = { FOO, FAIL }, .uid = GUEST_NOBODY },
			"server", "--seccomp", "tcp,127.0.0.1,8080", NULL);
	assert_non_null(strstr(process_stdout(p), "8080: listen=-1 errno=EACCES"));
	guest_said(p, "listen() is refused: uid 65534 has no grant");
	process_stop(p, SIGTERM);
	p = guest_start(&(struct guest_options){ .env = { "ISOMER_LABEL=bar", FAIL } }, "server",
			"--seccomp", "tcp,127.0.0.1,8080", NULL);
	assert_non_null(strstr(process_stdout(p), "8080: listen=-1 errno=ENOENT"));
	guest_said(p, "the dispatcher does not know this label");
	process_stop(p, SIGTERM);

	loader_ok("unload", NULL);
	p = guest_start(&(struct guest_options){ .env = { FOO } }, "server", "--seccomp",
			"tcp,127.0.0.1,8080", NULL);
	guest_said(p, "the registrar finds no dispatcher of network namespace");
	guest_said(p, "'isomer-loader load'");
	process_stop(p, SIGTERM);
}

static void the_direct_way_alone_is_gone_when_told_so(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	guest_dispatcher();
	registrar_start();
	loader_ok("grant", "foo", "nobody", NULL);
	assert_return_code(chmod(ns->bpffs, 0700), errno);
	p = guest_start(&(struct guest_options){ .env = { FOO, BY_BPF }, .uid = GUEST_NOBODY },
			"server", "tcp,127.0.0.1,8080", NULL);
	guest_said(p, "uid 65534 may not search /sys/fs/bpf");
	guest_refused("127.0.0.9", 4321);
	process_stop(p, SIGTERM);
}

/* It listens, and that is all. */
static void a_registrar_that_hangs_holds_nobody_up_for_long(void **state)
{
	struct process *registrar, *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	registrar = registrar_start();
	assert_return_code(kill(process_pid(registrar), SIGSTOP), errno);
	/* One worker still answers, so the first of two questions. */
	p = guest_start(&(struct guest_options){ .env = { FOO, BY_REGISTRAR } }, "server",
			"tcp,127.0.0.1,8080", NULL);
	guest_said(p, "the registrar at /run/isomer/registrar.sock has too much to do");
	guest_serves("127.0.0.1", 8080, "guest");
	process_stop(p, SIGTERM);
	assert_return_code(kill(process_pid(registrar), SIGCONT), errno);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		netns_test(a_server_under_systemds_filter_gets_the_traffic),
		netns_test(who_is_forced_to_call_bpf_dies_of_the_filter),
		netns_test(a_server_in_a_container_gets_the_traffic_of_its_namespace),
		netns_test(a_server_that_may_not_search_the_bpf_filesystem_registers),
		netns_test(one_process_takes_as_much_as_by_the_other_way),
		netns_test(its_end_stops_no_traffic_and_its_successor_takes_over),
		netns_test(it_keeps_the_capabilities_that_it_uses),
		netns_test(without_them_it_does_not_start),
		netns_test(it_takes_the_place_of_nobody),
		netns_test(who_may_connect_is_the_operators_choice),
		netns_test(systemds_socket_is_used_where_there_is_one),
#ifndef __SANITIZE_ADDRESS__
		netns_test(its_unit_leaves_it_the_system_calls_that_it_makes),
#endif
		netns_test(one_line_says_what_neither_way_could_do),
		netns_test(the_direct_way_alone_is_gone_when_told_so),
		netns_test(a_registrar_that_hangs_holds_nobody_up_for_long),
	};

	return cmocka_run_group_tests_name("registrar", tests, NULL, NULL);
}
