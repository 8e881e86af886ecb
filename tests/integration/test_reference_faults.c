/* SPDX-License-Identifier: BSD-3-Clause */
/* What the program that isomer follows was seen to do wrong, and isomer must not. Of its faults,
 * these are shown elsewhere:
 *
 *   an id that leads to another label's server     test_scale
 *   labels whose servers died use all ids up       test_scale
 *   state of a dead namespace under this inode     test_state
 *   a command that is killed                       test_crash
 *   null, {}, missing fields, rubbish behind       test_load_bindings
 *   another label's binding overwritten; labels    test_cli
 *   register moves traffic and then says error     test_register
 *   locks of readers, and without a time-out       test_concurrency
 *   ::/0 refuses IPv4; dual-stack sockets          test_isolation, test_servers
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/operator.h"
#include "integration/server.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"
#include "support/state_checker.h"

#define LEN(array) (sizeof(array) / sizeof(*(array)))

#define NOBODY 65534

static void register_process(pid_t pid, const char *label, const char *protocol, uint16_t port)
{
	loader_register(pid, label, protocol, "127.0.0.1", port);
}

static void load_foo(void)
{
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
	loader_ok("bind", "foo", "udp", "127.1.0.0/16", "80", NULL);
}

/* It told its program by the kernel's tag, which newer kernels compute otherwise, and refused its
 * own dispatcher. */
static void every_change_is_possible_after_load_and_after_upgrade(void **state)
{
	CLEANUP_FD int listener = tcp_listen("127.0.0.1", 7000);

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	for (int upgraded = 0; upgraded < 2; upgraded++) {
		loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
		register_process(getpid(), "foo", "tcp", 7000);
		loader_ok("unregister", "foo", "ipv4", "tcp", NULL);
		loader_ok("unbind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
		loader_ok("upgrade", NULL);
	}
	loader_ok("unload", NULL);
}

/* What came before it was applied, the rest not. */
static void a_bad_entry_in_the_middle_of_a_file_applies_nothing(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FD int listener = tcp_listen("127.0.0.1", 7000);
	CLEANUP_FREE char *file = NULL, *before = NULL;
	struct command_result r;
	size_t size = 0;
	FILE *out = open_memstream(&file, &size);

	assert_non_null(out);
	fprintf(out, "{\"bindings\": [");
	for (unsigned i = 1; i <= 1000; i++)
		fprintf(out,
			"%s{\"label\": \"bar%u\", \"prefix\": \"127.1.%u.%u%s\", \"port\": 80}",
			i > 1 ? "," : "", i % 7, i >> 8, i & 255, i == 500 ? "/33" : "");
	fprintf(out, "]}");
	assert_int_equal(fclose(out), 0);

	load_foo();
	register_process(getpid(), "foo", "tcp", 7000);
	before = state_dump(ns->bpffs);
	r = operator_load_bindings(NULL, file, size);
	operator_printed(&r, 1, "", "entry 500: prefix '127.1.1.244/33' is not");
	state_is_still(ns->bpffs, before);
	assert_int_equal(tcp_who_accepts("127.1.0.1", 80, &listener, 1), 0);
	assert_int_equal(state_check(ns).bindings, 2);
}

/* The second took the place of the first, and when it was closed nobody had the label. */
static void a_second_listener_of_a_process_does_not_displace_the_first(void **state)
{
	int listeners[2] = { tcp_listen("127.0.0.1", 7000), tcp_listen("127.0.0.1", 7001) };

	(void)netns_or_skip(state);
	load_foo();
	register_process(getpid(), "foo", "tcp", 7000);
	register_process(getpid(), "foo", "tcp", 7001);
	assert_int_equal(tcp_who_accepts("127.1.0.1", 80, listeners, 2), 1);
	close(listeners[1]);
	listeners[1] = tcp_listen("127.0.0.2", 7002);
	for (int i = 0; i < 20; i++)
		assert_int_equal(tcp_who_accepts("127.1.0.1", 80, listeners, 2), 0);
	close(listeners[0]);
	close(listeners[1]);
}

#define MEMBER "tcp:reuseport/127.0.0.1/7000"

static struct process *member_start(void)
{
	const char *argv[] = { server_python(), server_script("activate.py"),
			       MEMBER,          "--",
			       "true",          NULL };
	struct process *p = process_start(&(struct process_options){ .argv = argv });

	process_wait_output(p, "exit 0");
	return p;
}

/* 20 of 20 clients were refused when the registered member had gone, though its sibling listened.
 */
static void a_reuseport_group_survives_each_of_its_members(void **state)
{
	(void)netns_or_skip(state);
	load_foo();
	for (int gone = 0; gone < 2; gone++) {
		struct process *members[] = { member_start(), member_start() };

		for (int i = 0; i < 2; i++)
			register_process(process_pid(members[i]), "foo", "tcp", 7000);
		process_stop(members[gone], SIGKILL);
		for (int i = 0; i < 20; i++) {
			CLEANUP_FD int client = tcp_connect("127.1.0.1", 80);

			assert_return_code(client, -client);
		}
		process_stop(members[!gone], SIGKILL);
		server_refuses("127.1.0.1", 80);
	}
}

/* It looked no further than 32 unused descriptors. */
static void register_pid_finds_a_listener_behind_a_gap(void **state)
{
	static const int places[] = { 100, 355, 1000 };

	(void)netns_or_skip(state);
	load_foo();
	for (size_t i = 0; i < LEN(places); i++) {
		int low = tcp_listen("127.0.0.1", 7000), high;

		assert_return_code(low, -low);
		high = fcntl(low, F_DUPFD_CLOEXEC, places[i]);
		assert_return_code(high, errno);
		close(low);
		register_process(getpid(), "foo", "tcp", 7000);
		assert_int_equal(tcp_who_accepts("127.1.0.1", 80, &high, 1), 0);
		close(high);
		server_refuses("127.1.0.1", 80);
	}
}

/* A registered socket that was connected later was not looked at again: the label was dead. */
static void a_udp_socket_that_connects_leaves_its_traffic_to_others(void **state)
{
	struct sockaddr_storage peer, nobody = { .ss_family = AF_UNSPEC };
	socklen_t len = net_address("127.0.0.1", 9, &peer);
	int sockets[2];

	(void)netns_or_skip(state);
	load_foo();
	for (int i = 0; i < 2; i++) {
		sockets[i] = udp_bind("127.0.0.1", (uint16_t)(7000 + i));
		assert_return_code(sockets[i], -sockets[i]);
		register_process(getpid(), "foo", "udp", (uint16_t)(7000 + i));
	}
	assert_int_equal(udp_who_receives("127.1.0.1", 80, sockets, 2), 1);
	assert_return_code(connect(sockets[1], (struct sockaddr *)&peer, len), errno);
	assert_int_equal(udp_who_receives("127.1.0.1", 80, sockets, 2), 0);
	assert_return_code(connect(sockets[1], (struct sockaddr *)&nobody, sizeof(nobody)), errno);
	close(sockets[0]);
	close(sockets[1]);
}

/* "delete: invalid argument" */
static void a_second_unregister_says_that_there_is_nothing(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FD int listener = tcp_listen("127.0.0.1", 7000);
	CLEANUP_FREE char *before = NULL;
	struct command_result r;

	load_foo();
	register_process(getpid(), "foo", "tcp", 7000);
	assert_int_equal(tcp_who_accepts("127.1.0.1", 80, &listener, 1), 0);
	r = loader("unregister", "foo", "ipv4", "tcp", NULL);
	operator_printed(&r, 0, "unregistered foo:ipv4:tcp\n", NULL);
	server_refuses("127.1.0.1", 80);

	before = state_dump(ns->bpffs);
	r = loader("unregister", "foo", "ipv4", "tcp", NULL);
	operator_printed(&r, 1, "", "no socket is registered for foo:ipv4:tcp");
	r = loader("unregister", "foo", "ipv6", "udp", NULL);
	operator_printed(&r, 1, "", "no socket is registered for foo:ipv6:udp");
	r = loader("unregister", "bar", "ipv4", "tcp", NULL);
	operator_printed(&r, 1, "", "there is no label 'bar'");
	state_is_still(ns->bpffs, before);
}

/* ---- messages ---- */

static char own_pid[16];

static const struct {
	const char *args[8];
	const char *unloaded, *loaded; /* what is said; NULL: nothing, and it works */
} of_nobody[] = {
	{ { "load" }, "not allowed to load the dispatcher", "dispatcher is already loaded" },
	{ { "unload" }, "dispatcher is not loaded", "run as root" },
	{ { "upgrade" }, "no dispatcher is loaded", "run as root" },
	{ { "bind", "foo", "tcp", "127.0.0.1", "80" }, "no dispatcher is loaded", "run as root" },
	{ { "unbind", "foo", "tcp", "127.0.0.1", "80" }, "no dispatcher is loaded", "run as root" },
	{ { "bindings" }, "no dispatcher is loaded", "run as root" },
	{ { "status" }, "no dispatcher is loaded", "run as root" },
	{ { "explain", "tcp", "127.0.0.1", "80" }, "no dispatcher is loaded", "run as root" },
	{ { "metrics", "--once" }, "no dispatcher is loaded", "run as root" },
	{ { "unregister", "foo", "ipv4", "tcp" }, "no dispatcher is loaded", "run as root" },
	{ { "grant", "foo", "65534" }, "no dispatcher is loaded", "run as root" },
	{ { "revoke", "foo" }, "no dispatcher is loaded", "run as root" },
	{ { "register-pid", own_pid, "foo", "tcp", "127.0.0.1", "80" },
	  "run as root",
	  "run as root" },
	{ { "--netns", "/proc/1/ns/net", "status" }, "run as root", "run as root" },
	{ { "version" }, NULL, NULL },
};

/* One line each, with what to do; 0 is for what is done already. */
static void try_as_nobody(bool loaded)
{
	for (size_t i = 0; i < LEN(of_nobody); i++) {
		const char *said = loaded ? of_nobody[i].loaded : of_nobody[i].unloaded;
		const char *argv[10] = { loader_path() };
		struct command_result r;

		memcpy(argv + 1, of_nobody[i].args, sizeof(of_nobody[i].args));
		r = command_run(&(struct process_options){ .argv = argv, .uid = NOBODY });
		operator_said(&r, said && strncmp(said, "dispatcher is ", 14) != 0, said);
	}
}

/* "prealloc maps not supported (requires >= v4.6)" on a kernel of today. */
static void nobody_is_told_what_is_missing(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *before = NULL;

	snprintf(own_pid, sizeof(own_pid), "%d", (int)getpid());
	try_as_nobody(false);
	load_foo();
	before = state_dump(ns->bpffs);
	try_as_nobody(true);
	state_is_still(ns->bpffs, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(every_change_is_possible_after_load_and_after_upgrade),
		netns_test(a_bad_entry_in_the_middle_of_a_file_applies_nothing),
		netns_test(a_second_listener_of_a_process_does_not_displace_the_first),
		netns_test(a_reuseport_group_survives_each_of_its_members),
		netns_test(register_pid_finds_a_listener_behind_a_gap),
		netns_test(a_udp_socket_that_connects_leaves_its_traffic_to_others),
		netns_test(a_second_unregister_says_that_there_is_nothing),
		netns_test(nobody_is_told_what_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
