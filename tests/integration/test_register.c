/* SPDX-License-Identifier: BSD-3-Clause */
/* register: the sockets of a unit, as systemd passes them. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/operator.h"
#include "integration/server.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"
#include "support/state_checker.h"

#define LEN(array) (sizeof(array) / sizeof(*(array)))

#define COOKIE_SIZE 24

/* Starts guests/activate.py: a unit with @sockets, and `isomer-loader register @operand` once.
 * @variable: "NAME=value" for that command, or NULL. Waits until it has run. */
static struct process *unit_start(const char *sockets, const char *variable, const char *operand)
{
	const char *argv[] = { server_python(), server_script("activate.py"),
			       sockets,         "--",
			       loader_path(),   "register",
			       operand,         NULL };
	const char *with_variable[] = { server_python(),
					server_script("activate.py"),
					sockets,
					variable,
					"--",
					loader_path(),
					"register",
					operand,
					NULL };
	struct process *p =
		process_start(&(struct process_options){ .argv = variable ? with_variable : argv });

	process_wait_output(p, "exit ");
	return p;
}

/* "sk:…" of a socket of the unit. */
static void unit_cookie(struct process *p, int socket, char ret[COOKIE_SIZE])
{
	char wanted[32];
	const char *line;

	snprintf(wanted, sizeof(wanted), "socket %d sk:", socket);
	line = strstr(process_stdout(p), wanted);
	assert_non_null(line);
	assert_int_equal(sscanf(line, "socket %*d %23s", ret), 1);
}

/* The slots of a destination that sockets of the unit are in: "0:2 1:0 2:1" for number 2 in slot 0
 * and so on. */
static void slots_are(struct process *p, const char *label, const char *domain,
		      const char *protocol, const char *expected)
{
	struct command_result r = loader("status", "--json", label, NULL);
	CLEANUP_FREE char *got = NULL;
	char expression[512];
	size_t used;

	used = (size_t)snprintf(expression, sizeof(expression),
				"(lambda names: ' '.join("
				"str(s['slot']) + ':' + names.get(s['socket'], '?')"
				" for v in d['destinations'] for s in v['slots']"
				" if (v['domain'], v['protocol']) == ('%s', '%s')))({",
				domain, protocol);
	for (int i = 0; i < 8; i++) {
		char cookie[COOKIE_SIZE], wanted[16];

		snprintf(wanted, sizeof(wanted), "socket %d ", i);
		if (!strstr(process_stdout(p), wanted))
			break;
		unit_cookie(p, i, cookie);
		used += (size_t)snprintf(expression + used, sizeof(expression) - used,
					 "'%s': '%d', ", cookie, i);
	}
	snprintf(expression + used, sizeof(expression) - used, "})");
	got = operator_json(r.out, expression);
	assert_string_equal(got, expected);
	command_done(&r);
}

static void prints(struct process *p, int status, const char *text)
{
	char exit_line[16];

	snprintf(exit_line, sizeof(exit_line), "exit %d\n", status);
	if (!strstr(process_stdout(p), exit_line) || !strstr(process_stdout(p), text))
		fail_msg("should end with %d and print '%s': %s%s", status, text, process_stdout(p),
			 process_stderr(p));
	assert_string_equal(process_stderr(p), "");
}

/* ---- what is taken ---- */

static void the_socket_of_a_unit_gets_the_traffic(void **state)
{
	char cookie[COOKIE_SIZE], line[128];
	struct process *p;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
	p = unit_start("tcp/127.0.0.1/7000", NULL, "foo");
	unit_cookie(p, 0, cookie);
	snprintf(line, sizeof(line), "registered socket %s: updated destination foo:ipv4:tcp\n",
		 cookie);
	prints(p, 0, line);
	{
		CLEANUP_FD int client = tcp_connect("127.1.2.3", 80);

		assert_return_code(client, -client);
	}
	/* The unit ends: its socket is gone from the slots at once. */
	process_stop(p, SIGKILL);
	server_refuses("127.1.2.3", 80);
}

static void a_label_is_made_when_it_is_not_there(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	loader_ok(OPERATOR_LOAD, NULL);
	p = unit_start("udp/127.0.0.1/7000", NULL, "foo");
	prints(p, 0, ": created destination foo:ipv4:udp\n");
	slots_are(p, "foo", "ipv4", "udp", "0:0 1:0");
	assert_int_equal(state_check(ns).labels, 1);
	process_stop(p, SIGKILL);
}

static void one_unit_may_serve_all_destinations_of_a_label(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	p = unit_start("tcp/127.0.0.1/7000,udp/127.0.0.1/7001,tcp/::1/7002,udp:dual/::/7003", NULL,
		       "foo");
	/* Two UDP sockets serve IPv4: on different ports that is a mistake. */
	assert_non_null(strstr(process_stderr(p), "foo:ipv4:udp (ports 7001 and 7003)"));
	process_stop(p, SIGKILL);
	p = unit_start("tcp/127.0.0.1/7000,tcp/::1/7002,udp:dual/::/7003", NULL, "foo");
	prints(p, 0, "created destination foo:ipv6:udp\n");
	slots_are(p, "foo", "ipv4", "tcp", "0:0 1:0");
	slots_are(p, "foo", "ipv6", "tcp", "0:1 1:1");
	slots_are(p, "foo", "ipv4", "udp", "0:2 1:2");
	slots_are(p, "foo", "ipv6", "udp", "0:2 1:2");
	process_stop(p, SIGKILL);
}

#define MEMBER "tcp:reuseport/127.0.0.1/7000"

static void of_a_reuseport_group_the_first_is_current(void **state)
{
	struct process *p, *newer;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
	p = unit_start(MEMBER "," MEMBER "," MEMBER "," MEMBER, NULL, "foo");
	prints(p, 0, "updated destination foo:ipv4:tcp\n");
	slots_are(p, "foo", "ipv4", "tcp", "0:0 1:0 2:1 3:2 4:3");
	newer = unit_start("tcp/127.0.0.1/7001", NULL, "foo");
	prints(newer, 0, "updated destination foo:ipv4:tcp\n");
	slots_are(newer, "foo", "ipv4", "tcp", "0:0 1:? 2:? 3:? 4:? 5:0");
	/* The group is there when the newer one dies. */
	process_stop(newer, SIGKILL);
	{
		CLEANUP_FD int client = tcp_connect("127.1.2.3", 80);

		assert_return_code(client, -client);
	}
	process_stop(p, SIGKILL);
}

static void more_members_than_slots_are_no_mistake(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	p = unit_start(MEMBER "," MEMBER "," MEMBER "," MEMBER "," MEMBER "," MEMBER "," MEMBER
			      "," MEMBER "," MEMBER "," MEMBER "," MEMBER "," MEMBER "," MEMBER
			      "," MEMBER "," MEMBER "," MEMBER "," MEMBER "," MEMBER,
		       NULL, "foo");
	prints(p, 0, "created destination foo:ipv4:tcp\n");
	process_stop(p, SIGKILL);
}

static void each_socket_may_have_the_label_of_its_name(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	p = unit_start("tcp/127.0.0.1/7000,tcp/127.0.0.1/7001,udp/127.0.0.1/7000",
		       "LISTEN_FDNAMES=foo:bar.baz:foo", "--fdnames");
	prints(p, 0, "created destination bar.baz:ipv4:tcp\n");
	slots_are(p, "foo", "ipv4", "tcp", "0:0 1:0");
	slots_are(p, "foo", "ipv4", "udp", "0:2 1:2");
	slots_are(p, "bar.baz", "ipv4", "tcp", "0:1 1:1");
	process_stop(p, SIGKILL);
}

/* ---- what is refused ---- */

static void mistakes_change_nothing(void **state)
{
	static const struct {
		const char *sockets, *variable, *operand, *said;
		int status;
	} mistakes[] = {
		{ "tcp/127.0.0.1/7001,tcp/127.0.0.1/7002", NULL, "foo",
		  "different addresses or ports for destination foo:ipv4:tcp (ports 7001 and "
		  "7002)",
		  1 },
		{ "tcp/127.0.0.2/7001,tcp/127.0.0.3/7001", NULL, "foo",
		  "different addresses or ports for destination foo:ipv4:tcp", 1 },
		{ "tcp/127.0.0.1/7001,tcp:idle/127.0.0.1/7002", NULL, "foo",
		  "descriptor 4 for label 'foo': it does not listen", 1 },
		{ "udp/127.0.0.1/7001,pipe", NULL, "foo", "descriptor 4 for label 'foo': it is not",
		  1 },
		{ "unix", NULL, "foo", "descriptor 3 for label 'foo': it is not an IPv4 or IPv6",
		  1 },
		{ "mptcp/127.0.0.1/7001", NULL, "foo", "descriptor 3 for label 'foo': it is MPTCP",
		  1 },
		{ "udp:connected/127.0.0.1/7001", NULL, "foo",
		  "descriptor 3 for label 'foo': it is connected", 1 },
		{ "tcp/127.0.0.1/7001", "LISTEN_FDS=2", "foo",
		  "descriptor 4 for label 'foo': there is no such descriptor", 1 },
		{ "none", NULL, "foo", "LISTEN_FDS '0' is not a number", 1 },
		{ "tcp/127.0.0.1/7001", "LISTEN_FDS=1x", "foo", "LISTEN_FDS '1x' is not", 1 },
		{ "tcp/127.0.0.1/7001", "LISTEN_FDS=", "foo", "LISTEN_FDS '' is not a number", 1 },
		{ "tcp/127.0.0.1/7001", "LISTEN_FDS=99999", "foo", "LISTEN_FDS '99999' is not", 1 },
		{ "tcp/127.0.0.1/7001", NULL, "fo o", "label 'fo o' is not valid", 2 },
		{ "tcp/127.0.0.1/7001", NULL, "--fdnames", "LISTEN_FDNAMES", 1 },
		{ "tcp/127.0.0.1/7001", "LISTEN_FDNAMES=a:b", "--fdnames",
		  "LISTEN_FDNAMES has 2 names for 1 sockets", 1 },
		{ "tcp/127.0.0.1/7001,udp/127.0.0.1/7001", "LISTEN_FDNAMES=a:", "--fdnames",
		  "label '' is not valid", 1 },
	};
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FD int listener = tcp_listen("127.0.0.1", 7000);
	CLEANUP_FREE char *before = NULL;

	loader_ok(OPERATOR_LOAD, NULL);
	loader_register(getpid(), "foo", "tcp", "127.0.0.1", 7000);
	before = state_dump(ns->bpffs);
	for (size_t i = 0; i < LEN(mistakes); i++) {
		struct process *p =
			unit_start(mistakes[i].sockets, mistakes[i].variable, mistakes[i].operand);
		struct command_result r = { .out = strdup(""), .err = strdup(process_stderr(p)) };

		assert_int_equal(sscanf(strstr(process_stdout(p), "exit "), "exit %d", &r.status),
				 1);
		operator_said(&r, mistakes[i].status, mistakes[i].said);
		process_stop(p, SIGKILL);
		state_is_still(ns->bpffs, before);
	}
}

static void without_systemd_it_says_so(void **state)
{
	struct command_result r;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	r = loader("register", "foo", NULL);
	operator_printed(&r, 1, "", "LISTEN_FDS is not set: run this from a unit with Sockets=");
	r = loader("register", NULL);
	operator_printed(&r, 2, "", "register takes either LABEL or --fdnames");
	r = loader("register", "--fdnames", "foo", NULL);
	operator_printed(&r, 2, "", "register takes either LABEL or --fdnames");
}

static void a_socket_of_another_namespace_is_refused(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FD int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), listener = -1;
	CLEANUP_FREE char *before = NULL;
	const char *argv[] = { loader_path(), "register", "foo", NULL };
	struct command_result r;

	loader_ok(OPERATOR_LOAD, NULL);
	before = state_dump(ns->bpffs);
	assert_return_code(unshare(CLONE_NEWNET), errno);
	listener = tcp_listen("0.0.0.0", 7000);
	assert_return_code(setns(here, CLONE_NEWNET), errno);
	assert_return_code(listener, -listener);
	r = command_run(
		&(struct process_options){ .argv = argv,
					   .env = (const char *const[]){ "LISTEN_FDS=1", NULL },
					   .pass_fd = listener });
	operator_printed(&r, 1, "", "descriptor 3 for label 'foo': it belongs to another network");
	state_is_still(ns->bpffs, before);
}

/* ---- systemd's own ---- */

/* What it activates here is a shell that keeps the socket, as the socket unit does otherwise. */
static void systemd_socket_activate_is_understood(void **state)
{
	const char *argv[] = { "systemd-socket-activate",
			       "-l",
			       "127.0.0.1:7000",
			       "--fdname=foo",
			       "/bin/sh",
			       "-c",
			       "\"$0\" register --fdnames && echo ready && exec tail -f /dev/null",
			       loader_path(),
			       NULL };
	struct process *p;
	int client;

	server_need("systemd-socket-activate");
	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
	p = process_start(&(struct process_options){ .argv = argv });
	process_wait_port(p, "tcp", 7000);
	client = tcp_connect("127.0.0.1", 7000); /* that starts the shell */
	assert_return_code(client, -client);
	process_wait_output(p, "updated destination foo:ipv4:tcp\nready");
	close(client);
	client = tcp_connect("127.1.2.3", 80);
	assert_return_code(client, -client);
	close(client);
	process_stop(p, SIGKILL);
	server_refuses("127.1.2.3", 80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(the_socket_of_a_unit_gets_the_traffic),
		netns_test(a_label_is_made_when_it_is_not_there),
		netns_test(one_unit_may_serve_all_destinations_of_a_label),
		netns_test(of_a_reuseport_group_the_first_is_current),
		netns_test(more_members_than_slots_are_no_mistake),
		netns_test(each_socket_may_have_the_label_of_its_name),
		netns_test(mistakes_change_nothing),
		netns_test(without_systemd_it_says_so),
		netns_test(a_socket_of_another_namespace_is_refused),
		netns_test(systemd_socket_activate_is_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
