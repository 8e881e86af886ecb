/* SPDX-License-Identifier: BSD-3-Clause */
/* attach and detach: listeners of a cgroup are registered whatever made them. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
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
#include "integration/operator.h"
#include "integration/own_cgroup.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"
#include "support/state_checker.h"

/* A dispatcher with label "foo" on port 4321, and a cgroup with that attached. */
static void attached(void **state, struct own_cgroup *cg)
{
	(void)netns_or_skip(state);
	guest_dispatcher();
	own_cgroup_make(cg);
	loader_ok("attach", "-l", "foo", cg->path, NULL);
}

/* Ends it, and checks that nothing but a whole state is left. */
static void over(void **state, struct own_cgroup *cg, struct process *p)
{
	if (p)
		process_stop(p, SIGTERM);
	state_check(netns_or_skip(state));
	own_cgroup_done(cg);
}

/* How many listeners were registered, were of another namespace, ambiguous, or not taken by the
 * kernel, as `status` has it of the one attachment; all -1: there is none. */
static void counts_are(int registered, int other_netns, int ambiguous, int failed)
{
	struct command_result r = loader("status", NULL);
	const char *section = strstr(r.out, "\nAttachments:\n"), *row;
	int counts[4] = { -1, -1, -1, -1 }, lines = 0;

	assert_int_equal(r.status, 0);
	if (section) {
		section += strlen("\nAttachments:\n");
		row = strchr(section, '\n') + 1; /* behind the headings */
		assert_int_equal(sscanf(row, " %*s %d %d %d %d", &counts[0], &counts[1], &counts[2],
					&counts[3]),
				 4);
		for (; *row && *row != '\n'; row = strchr(row, '\n') + 1)
			lines++;
		assert_int_equal(lines, 1);
	}
	assert_int_equal(counts[0], registered);
	assert_int_equal(counts[1], other_netns);
	assert_int_equal(counts[2], ambiguous);
	assert_int_equal(counts[3], failed);
	command_done(&r);
}

static void there_is_no_attachment(void)
{
	counts_are(-1, -1, -1, -1);
}

/* ---- what is registered ---- */

static void a_static_program_is_registered(void **state)
{
	struct own_cgroup cg;
	struct process *p;

	attached(state, &cg);
	p = own_cgroup_start(&cg, guest_path("static"), "--name", "static", "tcp,::,8080,dual",
			     NULL);
	guest_serves("127.0.0.9", 4321, "static");
	guest_serves("::1", 4321, "static");
	counts_are(1, 0, 0, 0);
	over(state, &cg, p);
	guest_refused("127.0.0.9", 4321);
}

/* A library would not see that call. */
static void listening_past_libc_is_registered(void **state)
{
	struct own_cgroup cg;
	struct process *p;

	attached(state, &cg);
	p = own_cgroup_start(&cg, guest_path("server"), "--raw", "tcp,127.0.0.1,8080", NULL);
	guest_serves("127.0.0.9", 4321, "guest");
	counts_are(1, 0, 0, 0);
	over(state, &cg, p);
}

static void listening_by_io_uring_is_registered(void **state)
{
	struct own_cgroup cg;
	struct process *p;

	attached(state, &cg);
	p = own_cgroup_start(&cg, guest_path("uring"), "127.0.0.1", "8080", NULL);
	if (strstr(process_stdout(p), "no listen"))
		print_message("this kernel's io_uring does not listen\n");
	else
		guest_serves("127.0.0.9", 4321, "uring");
	over(state, &cg, p);
}

static void each_family_has_its_own_socket(void **state)
{
	struct own_cgroup cg;
	struct process *p;

	attached(state, &cg);
	p = own_cgroup_start(&cg, guest_path("static"), "tcp,127.0.0.1,8080", "tcp,::,8080,v6only",
			     NULL);
	assert_int_equal(guest_sockets(netns_or_skip(state), AF_INET, IPPROTO_TCP), 1);
	assert_int_equal(guest_sockets(netns_or_skip(state), AF_INET6, IPPROTO_TCP), 1);
	guest_serves("127.0.0.9", 4321, "guest");
	guest_serves("::1", 4321, "guest");
	counts_are(2, 0, 0, 0);
	over(state, &cg, p);
}

static void what_listens_already_is_adopted(void **state)
{
	struct own_cgroup cg;
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	own_cgroup_make(&cg);
	p = own_cgroup_start(&cg, guest_path("static"), "tcp,127.0.0.1,8080", "udp,127.0.0.1,8080",
			     NULL);
	guest_refused("127.0.0.9", 4321);
	loader_ok("attach", "-l", "foo", cg.path, NULL);
	guest_serves("127.0.0.9", 4321, "guest");
	guest_send("127.0.0.9", 4321, "hello");
	process_wait_output(p, "guest got hello");
	over(state, &cg, p);
}

static void cgroups_below_count(void **state)
{
	struct own_cgroup cg, below;
	struct process *p;

	attached(state, &cg);
	below = cg;
	assert_true(snprintf(below.path, sizeof(below.path), "%s/below", cg.path) <
		    (int)sizeof(below.path));
	assert_return_code(mkdir(below.path, 0755), errno);
	p = own_cgroup_start(&below, guest_path("static"), "tcp,127.0.0.1,8080", NULL);
	guest_serves("127.0.0.9", 4321, "guest");
	process_stop(p, SIGTERM);
	own_cgroup_done(&below);
	over(state, &cg, NULL);
}

static void a_new_server_takes_over_and_the_old_one_stands_by(void **state)
{
	struct own_cgroup cg;
	struct process *old, *fresh;

	attached(state, &cg);
	old = own_cgroup_start(&cg, guest_path("static"), "--name", "old",
			       "tcp,127.0.0.1,8080,reuseport", NULL);
	guest_serves("127.0.0.9", 4321, "old");
	fresh = own_cgroup_start(&cg, guest_path("static"), "--name", "new",
				 "tcp,127.0.0.1,8080,reuseport", NULL);
	assert_int_equal(guest_sockets(netns_or_skip(state), AF_INET, IPPROTO_TCP), 2);
	process_stop(fresh, SIGKILL);
	guest_serves("127.0.0.9", 4321, "old");
	over(state, &cg, old);
}

/* ---- what is not ---- */

static void others_are_left_alone(void **state)
{
	struct own_cgroup cg;
	struct process *outside, *elsewhere;

	attached(state, &cg);
	outside = guest_start(&(struct guest_options){ .alone = true }, "server",
			      "tcp,127.0.0.1,8080", NULL);
	counts_are(0, 0, 0, 0);
	guest_refused("127.0.0.9", 4321);
	process_stop(outside, SIGTERM);
	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_SOCK_OPS, BPF_FUNC_get_netns_cookie, NULL) == 1) {
		elsewhere = own_cgroup_start(&cg, guest_path("static"), "--other-netns",
					     "tcp,127.0.0.1,8080", NULL);
		counts_are(0, 1, 0, 0);
		guest_refused("127.0.0.9", 4321);
		process_stop(elsewhere, SIGTERM);
	}
	over(state, &cg, NULL);
}

/* Before Linux 5.15 the program cannot tell, and `attach` refuses. */
static void a_cgroup_with_processes_of_another_namespace(void **state)
{
	struct own_cgroup cg;
	struct command_result r;
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	own_cgroup_make(&cg);
	p = own_cgroup_start(&cg, "unshare", "-n", guest_path("static"), "tcp,0.0.0.0,8080", NULL);
	r = loader("attach", "-l", "foo", cg.path, NULL);
	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_SOCK_OPS, BPF_FUNC_get_netns_cookie, NULL) == 1)
		operator_said(&r, 0, NULL);
	else
		operator_said(&r, 1, "has processes of other network namespaces");
	assert_int_equal(guest_sockets(netns_or_skip(state), AF_INET, IPPROTO_TCP), 0);
	over(state, &cg, p);
}

static void a_label_alone_takes_one_port(void **state)
{
	struct own_cgroup cg;
	struct process *first, *second;

	attached(state, &cg);
	first = own_cgroup_start(&cg, guest_path("static"), "--name", "first", "tcp,127.0.0.1,8080",
				 NULL);
	second = own_cgroup_start(&cg, guest_path("static"), "--name", "second",
				  "tcp,127.0.0.1,8081", NULL);
	guest_serves("127.0.0.9", 4321, "first");
	counts_are(1, 0, 1, 0);
	process_stop(second, SIGTERM);
	process_stop(first, SIGTERM);
	guest_refused("127.0.0.9", 4321);

	/* No listener is left there: another port may have it. */
	second = own_cgroup_start(&cg, guest_path("static"), "--name", "second",
				  "tcp,127.0.0.1,8081", NULL);
	guest_serves("127.0.0.9", 4321, "second");
	over(state, &cg, second);
}

static void rules_say_which_port_is_whose(void **state)
{
	struct own_cgroup cg;
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	loader_ok("bind", "bar", "tcp", "127.0.0.0/8", "5432", NULL);
	own_cgroup_make(&cg);
	loader_ok("attach", "-r",
		  "-=tcp:*:8083;foo=tcp:127.0.0.0/31:8080;bar=*:[::]:8081-8082;foo=udp:*:*",
		  cg.path, NULL);
	p = own_cgroup_start(&cg, guest_path("static"), "tcp,127.0.0.1,8080", "tcp,127.0.0.2,8080",
			     "tcp,::,8082,dual", "tcp,127.0.0.1,8083", NULL);
	guest_serves("127.0.0.9", 4321, "guest");
	guest_serves("127.0.0.9", 5432, "guest");
	assert_int_equal(guest_sockets(netns_or_skip(state), AF_INET, IPPROTO_TCP), 1);
	counts_are(2, 0, 0, 0);
	over(state, &cg, p);
}

/* ---- its life ---- */

static void detach_ends_it_and_what_is_registered_stays(void **state)
{
	struct own_cgroup cg;
	struct process *p;

	attached(state, &cg);
	p = own_cgroup_start(&cg, guest_path("static"), "--name", "old",
			     "tcp,127.0.0.1,8080,reuseport", NULL);
	loader_ok("detach", cg.path, NULL);
	there_is_no_attachment();
	guest_serves("127.0.0.9", 4321, "old");
	process_stop(p, SIGTERM);
	p = own_cgroup_start(&cg, guest_path("static"), "tcp,127.0.0.1,8080,reuseport", NULL);
	guest_refused("127.0.0.9", 4321);
	over(state, &cg, p);
}

static void attaching_again_replaces_the_rules(void **state)
{
	struct own_cgroup cg;
	struct process *p;

	attached(state, &cg);
	loader_ok("attach", "-r", "foo=tcp:*:9090", cg.path, NULL);
	counts_are(0, 0, 0, 0);
	p = own_cgroup_start(&cg, guest_path("static"), "--name", "other", "tcp,127.0.0.1,8080",
			     "tcp,127.0.0.1,9090", NULL);
	assert_int_equal(guest_sockets(netns_or_skip(state), AF_INET, IPPROTO_TCP), 1);
	guest_serves("127.0.0.9", 4321, "other");
	over(state, &cg, p);
}

static void it_follows_upgrades_and_renewed_slots(void **state)
{
	struct own_cgroup cg;
	struct process *p;

	attached(state, &cg);
	loader_ok("upgrade", NULL);
	loader_ok("upgrade", "--max-destinations", "16384", NULL);
	loader_ok("grant", "foo", "65534", NULL);
	loader_ok("revoke", "foo", NULL); /* the slots are others now */
	p = own_cgroup_start(&cg, guest_path("static"), "tcp,127.0.0.1,8080", NULL);
	guest_serves("127.0.0.9", 4321, "guest");
	over(state, &cg, p);
}

static void a_label_lives_as_long_as_its_attachment(void **state)
{
	struct own_cgroup cg;

	(void)netns_or_skip(state);
	loader_ok("load", NULL);
	own_cgroup_make(&cg);
	loader_ok("attach", "-l", "foo", cg.path, NULL);
	loader_ok("bind", "bar", "tcp", "127.0.0.1", "80", NULL);
	assert_int_equal(state_check(netns_or_skip(state)).labels, 2);
	loader_ok("detach", cg.path, NULL);
	assert_int_equal(state_check(netns_or_skip(state)).labels, 1);
	over(state, &cg, NULL);
}

static void what_a_removed_cgroup_leaves_is_cleared(void **state)
{
	struct own_cgroup cg;
	struct command_result r;

	(void)netns_or_skip(state);
	loader_ok("load", NULL);
	own_cgroup_make(&cg);
	loader_ok("attach", "-l", "foo", cg.path, NULL);
	own_cgroup_done(&cg);
	/* The kernel detaches it a moment later; each of these commands looks. */
	for (int i = 0; i < 1000; i++) {
		loader_ok("bind", "bar", "tcp", "127.0.0.1", "80", NULL);
		r = loader("status", NULL);
		if (!strstr(r.out, "Attachments"))
			i = 1000;
		command_done(&r);
	}
	there_is_no_attachment();
	assert_int_equal(state_check(netns_or_skip(state)).labels, 1);
}

static void unload_takes_it_along(void **state)
{
	struct own_cgroup cg;
	struct command_result r;
	struct process *p;

	attached(state, &cg);
	r = loader("unload", NULL);
	operator_said(&r, 0, cg.path);
	guest_dispatcher();
	p = own_cgroup_start(&cg, guest_path("static"), "tcp,127.0.0.1,8080", NULL);
	guest_refused("127.0.0.9", 4321);
	there_is_no_attachment();
	over(state, &cg, p);
}

/* ---- mistakes ---- */

static void mistakes_change_nothing(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *before = NULL;
	struct own_cgroup cg;
	struct command_result r;

	guest_dispatcher();
	own_cgroup_make(&cg);
	before = state_dump(ns->state_dir);

	r = loader("attach", cg.path, NULL);
	operator_said(&r, 2, "needs --label or --rules");
	r = loader("attach", "-l", "no label", cg.path, NULL);
	operator_said(&r, 2, "'no label'");
	r = loader("attach", "-r", "foo=tcp:*:80;bar=tcp:*:x", cg.path, NULL);
	operator_said(&r, 2, "rule 2");
	r = loader("attach", "-l", "foo", "no/such/cgroup", NULL);
	operator_said(&r, 1, "there is no cgroup 'no/such/cgroup'");
	r = loader("attach", "-l", "foo", "/proc", NULL);
	operator_said(&r, 1, "'/proc' is not a cgroup of the v2 hierarchy");
	r = loader("detach", cg.path, NULL);
	operator_said(&r, 1, "nothing is attached");
	state_is_still(ns->state_dir, before);
	over(state, &cg, NULL);
}

static void a_user_may_not(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *before = NULL;
	struct own_cgroup cg;
	struct command_result r;

	guest_dispatcher();
	own_cgroup_make(&cg);
	before = state_dump(ns->state_dir);
	r = command_run(&(struct process_options){
		.argv = (const char *const[]){ loader_path(), "attach", "-l", "foo", cg.path,
					       NULL },
		.uid = 65534 });
	operator_said(&r, 1, "run as root");
	state_is_still(ns->state_dir, before);
	over(state, &cg, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(a_static_program_is_registered),
		netns_test(listening_past_libc_is_registered),
		netns_test(listening_by_io_uring_is_registered),
		netns_test(each_family_has_its_own_socket),
		netns_test(what_listens_already_is_adopted),
		netns_test(cgroups_below_count),
		netns_test(a_new_server_takes_over_and_the_old_one_stands_by),
		netns_test(others_are_left_alone),
		netns_test(a_cgroup_with_processes_of_another_namespace),
		netns_test(a_label_alone_takes_one_port),
		netns_test(rules_say_which_port_is_whose),
		netns_test(detach_ends_it_and_what_is_registered_stays),
		netns_test(attaching_again_replaces_the_rules),
		netns_test(it_follows_upgrades_and_renewed_slots),
		netns_test(a_label_lives_as_long_as_its_attachment),
		netns_test(what_a_removed_cgroup_leaves_is_cleared),
		netns_test(unload_takes_it_along),
		netns_test(mistakes_change_nothing),
		netns_test(a_user_may_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
