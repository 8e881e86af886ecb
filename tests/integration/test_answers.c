/* SPDX-License-Identifier: BSD-3-Clause */
/* UDP under attach: answers leave from the address that the client wrote to. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "integration/operator.h"
#include "integration/own_cgroup.h"
#include "integration/udp_crowd.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"
#include "support/process.h"
#include "support/state_checker.h"
#include "support/syscall_killer.h"

#define PORT 4321 /* bound to "foo", for 127.0.0.0/8 */

#define SERVER_PORT 8080

#define KILL_STEP 5 /* test_crash kills at each call */

#define ANSWERS_PEERS 65536 /* as many as bpf/answers.bpf.c keeps */

static void route_to_this_host(const char *prefix)
{
	struct command_result r = command_run(&(struct process_options){
		.argv = (const char *const[]){ "ip", "route", "add", "local", prefix, "dev", "lo",
					       NULL } });

	assert_int_equal(r.status, 0);
	command_done(&r);
}

static void dispatcher(void **state)
{
	(void)netns_or_skip(state);
	guest_dispatcher();
	loader_ok("bind", "foo", "udp", "2001:db8::/64", "4321", NULL);
	route_to_this_host("2001:db8::/64");
}

/* A server at @ip in a cgroup of its own, not registered. @source: as guests/echo.c has it. */
static struct process *serve(void **state, struct own_cgroup *cg, const char *ip,
			     const char *source)
{
	dispatcher(state);
	own_cgroup_make(cg);
	return own_cgroup_start(cg, guest_path("echo"), ip, "8080", source, NULL);
}

/* One that answers when it is told to, registered. */
static struct process *serve_errands(void **state, struct own_cgroup *cg)
{
	struct process *p;

	dispatcher(state);
	own_cgroup_make(cg);
	p = own_cgroup_start(cg, guest_path("udp_errand"), "0.0.0.0", "8080", NULL);
	loader_ok("attach", "-l", "foo", cg->path, NULL);
	return p;
}

static void over(void **state, struct own_cgroup *cg, struct process *p)
{
	process_stop(p, SIGTERM);
	state_check(netns_or_skip(state));
	own_cgroup_done(cg);
}

static void ask(int client, const char *ip)
{
	struct sockaddr_storage to;
	socklen_t len = net_address(ip, PORT, &to);

	assert_int_equal(sendto(client, "?", 1, 0, (struct sockaddr *)&to, len), 1);
}

/* The next answer comes from @ip, and the server's own port. */
static void answer_is_from(int client, const char *ip)
{
	struct sockaddr_storage expected, from;
	socklen_t len = sizeof(from);
	char text[8];

	(void)net_address(ip, SERVER_PORT, &expected);
	assert_true(net_readable(client, NET_TIMEOUT_MS));
	assert_int_equal(recvfrom(client, text, sizeof(text), 0, (struct sockaddr *)&from, &len),
			 1);
	if (from.ss_family == AF_INET)
		assert_memory_equal(&from, &expected, sizeof(struct sockaddr_in));
	else
		assert_memory_equal(&from, &expected, sizeof(struct sockaddr_in6));
}

static void asked_at_answers_from(const char *asked, const char *answers)
{
	CLEANUP_FD int client = udp_bind(strchr(asked, ':') ? "::1" : "127.0.0.1", 0);

	ask(client, asked);
	answer_is_from(client, answers);
}

static void a_client_is_answered_from_where_it_asked(void **state)
{
	struct own_cgroup cg;
	struct process *p = serve(state, &cg, "0.0.0.0", NULL);

	loader_ok("attach", "-l", "foo", cg.path, NULL);
	asked_at_answers_from("127.0.0.9", "127.0.0.9");
	asked_at_answers_from("127.1.2.3", "127.1.2.3");
	over(state, &cg, p);
}

static void so_is_one_of_ipv6_and_of_both(void **state)
{
	struct own_cgroup cg;
	struct process *p = serve(state, &cg, "::", NULL);

	loader_ok("attach", "-l", "foo", cg.path, NULL);
	asked_at_answers_from("2001:db8::9", "2001:db8::9");
	asked_at_answers_from("2001:db8::a", "2001:db8::a");
	asked_at_answers_from("127.0.0.9", "127.0.0.9");
	over(state, &cg, p);
}

static void the_last_datagram_decides(void **state)
{
	struct own_cgroup cg;
	struct process *p = serve(state, &cg, "0.0.0.0", NULL);
	CLEANUP_FD int client = udp_bind("127.0.0.1", 0);

	loader_ok("attach", "-l", "foo", cg.path, NULL);
	ask(client, "127.0.0.9");
	answer_is_from(client, "127.0.0.9");
	ask(client, "127.0.0.10");
	answer_is_from(client, "127.0.0.10");
	over(state, &cg, p);
}

static void a_source_of_its_own_stays(void **state)
{
	struct own_cgroup cg;
	struct process *p = serve(state, &cg, "0.0.0.0", "127.0.0.7");

	loader_ok("attach", "-l", "foo", cg.path, NULL);
	asked_at_answers_from("127.0.0.9", "127.0.0.7");
	over(state, &cg, p);
}

static void so_does_the_address_that_it_is_bound_to(void **state)
{
	struct own_cgroup cg;
	struct process *p = serve(state, &cg, "127.0.0.8", NULL);

	loader_ok("attach", "-l", "foo", cg.path, NULL);
	asked_at_answers_from("127.0.0.9", "127.0.0.8");
	over(state, &cg, p);
}

static void for_a_peer_that_never_wrote_the_kernel_chooses(void **state)
{
	struct own_cgroup cg;
	struct process *p = serve_errands(state, &cg);
	CLEANUP_FD int silent = udp_bind("127.0.0.1", 0);
	char errand[16];

	snprintf(errand, sizeof(errand), "%u", net_local_port(silent));
	udp_errand_comes_from(silent, "127.0.0.9", PORT, errand, "127.0.0.1", SERVER_PORT);
	over(state, &cg, p);
}

static void so_it_does_for_one_that_was_forgotten(void **state)
{
	struct own_cgroup cg;
	struct process *p = serve_errands(state, &cg);
	CLEANUP_FD int client = udp_bind("127.0.0.1", 0);

	/* Not answered before: the kernel keeps for longer what was looked up. */
	ask(client, "127.0.0.9");
	udp_crowd_writes("127.0.0.10", PORT, 0, 2 * ANSWERS_PEERS);
	udp_errand_comes_from(client, "127.0.0.10", PORT, "first", "127.0.0.1", SERVER_PORT);
	over(state, &cg, p);
}

static void detached_the_kernel_chooses(void **state)
{
	struct own_cgroup cg;
	struct process *p = serve(state, &cg, "0.0.0.0", NULL);

	loader_ok("attach", "-l", "foo", cg.path, NULL);
	state_check(netns_or_skip(state));
	loader_ok("detach", cg.path, NULL);
	asked_at_answers_from("127.0.0.9", "127.0.0.1");
	over(state, &cg, p);
}

/* With the programs on @cg: a server in @where that is registered, but not by attach. */
static void others_answer_as_before(void **state, const struct own_cgroup *cg,
				    const struct own_cgroup *where, struct process *p)
{
	loader_ok("attach", "-l", "foo", cg->path, NULL);
	process_stop(p, SIGTERM);
	p = own_cgroup_start(where, guest_path("echo"), "0.0.0.0", "8080", NULL);
	loader_register(process_pid(p), "foo", "udp", "0.0.0.0", 8080);
	asked_at_answers_from("127.0.0.9", "127.0.0.1");
	process_stop(p, SIGTERM);
	state_check(netns_or_skip(state));
}

static void sockets_that_attach_did_not_register_are_left_alone(void **state)
{
	struct own_cgroup cg;
	struct process *p = serve(state, &cg, "0.0.0.0", NULL);

	others_answer_as_before(state, &cg, &cg, p);
	own_cgroup_done(&cg);
}

static void other_cgroups_are_left_alone(void **state)
{
	struct own_cgroup cg, other;
	struct process *p = serve(state, &cg, "0.0.0.0", NULL);

	own_cgroup_make(&other);
	others_answer_as_before(state, &cg, &other, p);
	own_cgroup_done(&other);
	own_cgroup_done(&cg);
}

static void it_lives_through_an_upgrade(void **state)
{
	struct own_cgroup cg;
	struct process *p = serve(state, &cg, "0.0.0.0", NULL);

	loader_ok("attach", "-l", "foo", cg.path, NULL);
	loader_ok("upgrade", NULL);
	asked_at_answers_from("127.0.0.9", "127.0.0.9");
	over(state, &cg, p);
}

/* By a client that takes an answer from there alone; else it has to be refused. */
static bool is_answered(const char *ip)
{
	char text[8];
	int n = udp_exchange(ip, PORT, "?", text, sizeof(text));

	if (n != -ECONNREFUSED)
		assert_int_equal(n, 1);
	return n == 1;
}

/* Returns false when it makes fewer calls than that. */
static bool kill_attach_at(const char *cgroup, unsigned int n)
{
	struct traced *t = traced_start(
		(const char *const[]){ loader_path(), "attach", "-l", "foo", cgroup, NULL },
		SYSCALLS_CHANGING);
	CLEANUP(command_done) struct command_result r = { 0 };

	if (traced_run_to(t, n)) {
		traced_kill(t);
		return true;
	}
	r = traced_finish(t);
	assert_int_equal(r.status, 0);
	return false;
}

static void killed_it_lets_nothing_leave_from_elsewhere(void **state)
{
	struct own_cgroup cg;
	struct process *p;
	unsigned int n = 1;

	dispatcher(state);
	own_cgroup_make(&cg);
	p = own_cgroup_start(&cg, guest_path("echo"), "0.0.0.0", "4321", NULL);
	assert_false(is_answered("127.0.0.9"));
	for (; kill_attach_at(cg.path, n); n += KILL_STEP) {
		(void)is_answered("127.0.0.9");
		loader_ok("attach", "-l", "foo", cg.path, NULL);
		assert_true(is_answered("127.0.0.9"));
		loader_ok("detach", cg.path, NULL);
		loader_ok("unregister", "foo", "ipv4", "udp", NULL);
		assert_false(is_answered("127.0.0.9"));
	}
	assert_in_range(n, 10 * KILL_STEP, UINT_MAX);
	over(state, &cg, p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(a_client_is_answered_from_where_it_asked),
		netns_test(so_is_one_of_ipv6_and_of_both),
		netns_test(the_last_datagram_decides),
		netns_test(a_source_of_its_own_stays),
		netns_test(so_does_the_address_that_it_is_bound_to),
		netns_test(for_a_peer_that_never_wrote_the_kernel_chooses),
		netns_test(so_it_does_for_one_that_was_forgotten),
		netns_test(detached_the_kernel_chooses),
		netns_test(sockets_that_attach_did_not_register_are_left_alone),
		netns_test(other_cgroups_are_left_alone),
		netns_test(it_lives_through_an_upgrade),
		netns_test(killed_it_lets_nothing_leave_from_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
