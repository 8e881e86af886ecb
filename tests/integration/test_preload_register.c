/* SPDX-License-Identifier: BSD-3-Clause */
/* Which sockets the library registers, and which it leaves alone. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "state/cleanup.h"
#include "state/slots.h"
#include "support/net.h"

#define FOO  "ISOMER_LABEL=foo"
#define INFO "ISOMER_LOG=info"

static const struct guest_options foo = { .env = { FOO } };
static const struct guest_options foo_info = { .env = { FOO, INFO } };

static void read_slots(const struct netns_fixture *ns, uint8_t protocol,
		       uint64_t ret_cookies[ISOMER_SLOTS])
{
	CLEANUP_FD int fd = -1;
	struct isomer_state st;

	assert_int_equal(isomer_state_open(ns->bpffs, ns->netns_inode, &st), 0);
	assert_int_equal(isomer_slots_open(&st, "foo", AF_INET, protocol, &fd), 0);
	assert_int_equal(isomer_slots_read(fd, ret_cookies), 0);
}

/* --- TCP by label alone ---------------------------------------------------------------------- */

static void by_label_the_first_port_is_kept_and_the_second_told(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	guest_dispatcher();
	p = guest_start(&foo, "server", "tcp,127.0.0.1,8080", "tcp,127.0.0.1,9090",
			"tcp,127.0.0.1,9091", NULL);
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_TCP), 1);
	guest_serves("127.0.0.9", 4321, "guest");
	guest_said(p, "tcp 127.0.0.1:9090 is not registered");
	guest_said(p, "ISOMER_RULES");
	process_stop(p, SIGTERM);
}

static void another_address_of_the_port_is_ambiguous_too(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	guest_dispatcher();
	p = guest_start(&foo, "server", "tcp,127.0.0.1,8080", "tcp,127.0.0.2,8080", NULL);
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_TCP), 1);
	guest_said(p, "tcp 127.0.0.2:8080 is not registered");
	process_stop(p, SIGTERM);
}

static void one_port_of_both_ip_versions_is_not(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	guest_dispatcher();
	p = guest_start(&foo, "server", "tcp,0.0.0.0,8080", "tcp,::,8080,v6only", NULL);
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_TCP), 1);
	assert_int_equal(guest_sockets(ns, AF_INET6, IPPROTO_TCP), 1);
	guest_serves("127.0.0.9", 4321, "guest");
	guest_serves("::1", 4321, "guest");
	guest_said_nothing(p);
	process_stop(p, SIGTERM);
}

static void another_port_of_the_other_ip_version_is(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	guest_dispatcher();
	p = guest_start(&foo, "server", "tcp,127.0.0.1,8080", "tcp,::1,9090", NULL);
	assert_int_equal(guest_sockets(ns, AF_INET6, IPPROTO_TCP), 0);
	guest_said(p, "tcp [::1]:9090 is not registered");
	process_stop(p, SIGTERM);
}

static void a_closed_socket_is_no_longer_the_first(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	guest_dispatcher();
	p = guest_start(&foo, "server", "tcp,127.0.0.1,8080,close", "tcp,127.0.0.1,9090", NULL);
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_TCP), 1);
	guest_serves("127.0.0.9", 4321, "guest");
	guest_said_nothing(p);
	process_stop(p, SIGTERM);
}

static void a_dual_stack_socket_serves_both(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = guest_start(&foo_info, "server", "tcp,::,8080,dual", NULL);
	guest_serves("127.0.0.9", 4321, "guest");
	guest_serves("::1", 4321, "guest");
	guest_said(p, "registered tcp [::]:8080 under 'foo': ipv4 slot 1, ipv6 slot 1");
	process_stop(p, SIGTERM);
}

static void of_reuseport_workers_two_are_kept(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	guest_dispatcher();
	p = guest_start(&foo, "server", "tcp,127.0.0.1,8080,reuseport",
			"tcp,127.0.0.1,8080,reuseport", "tcp,127.0.0.1,8080,reuseport", NULL);
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_TCP), 2);
	guest_serves("127.0.0.9", 4321, "guest");
	guest_said_nothing(p);
	process_stop(p, SIGTERM);
}

static void listening_again_changes_nothing(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	uint64_t cookies[ISOMER_SLOTS];
	struct process *older, *newer;

	guest_dispatcher();
	older = guest_start(&foo_info, "server", "--name", "older", "tcp,127.0.0.1,8080,again",
			    NULL);
	guest_said(older, "registered tcp 127.0.0.1:8080 under 'foo': ipv4 slot 1");
	newer = guest_start(&foo, "server", "--name", "newer", "tcp,127.0.0.1,9090", NULL);
	guest_serves("127.0.0.9", 4321, "newer");
	read_slots(ns, IPPROTO_TCP, cookies);
	assert_true(cookies[0] == cookies[2] && cookies[1] != cookies[2] && cookies[3] == 0);
	process_stop(newer, SIGKILL);
	guest_serves("127.0.0.9", 4321, "older");
	process_stop(older, SIGKILL);
}

/* --- by rules -------------------------------------------------------------------------------- */

static void by_rules_any_number_of_ports_is_registered(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	guest_dispatcher();
	p = guest_start(&(struct guest_options){ .env = { "ISOMER_RULES=foo=tcp:*:8080-9090" } },
			"server", "tcp,127.0.0.1,8080", "tcp,127.0.0.1,9090", "tcp,127.0.0.1,7070",
			NULL);
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_TCP), 2);
	guest_said_nothing(p);
	process_stop(p, SIGTERM);
}

static void by_rules_too_two_workers_of_an_address_are_kept(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	guest_dispatcher();
	p = guest_start(&(struct guest_options){ .env = { "ISOMER_RULES=foo=tcp:*:*" } }, "server",
			"tcp,127.0.0.1,8080,reuseport", "tcp,127.0.0.1,8080,reuseport",
			"tcp,127.0.0.1,8080,reuseport", "tcp,127.0.0.2,8080", NULL);
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_TCP), 3);
	process_stop(p, SIGTERM);
}

static void at_debug_level_it_says_what_it_leaves_alone(void **state)
{
	static const struct guest_options debug = {
		.env = { "ISOMER_RULES=-=tcp:*:7070;foo=tcp:*:8080", "ISOMER_LOG=debug" }
	};
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = guest_start(&debug, "server", "tcp,127.0.0.1,7070", NULL);
	guest_said(p, "tcp 127.0.0.1:7070 is left alone: no label and no rule is for it");
	process_stop(p, SIGTERM);
	p = guest_start(&debug, "server", "tcp,127.0.0.1,8080,again", NULL);
	assert_non_null(strstr(process_stderr(p), "8080 is left alone: it has its slots already"));
	process_stop(p, SIGTERM);
}

static void rules_send_ports_to_labels(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	loader_ok("bind", "bar", "tcp", "127.0.0.0/8", "4322", NULL);
	p = guest_start(
		&(struct guest_options){
			.env = { "ISOMER_RULES=-=tcp:127.0.0.3:*;bar=tcp:*:9090", FOO, INFO } },
		"server", "tcp,127.0.0.3,7070", "tcp,127.0.0.3,9090", "tcp,127.0.0.1,8080",
		"tcp,127.0.0.1,9090", NULL);
	assert_non_null(strstr(process_stderr(p), "127.0.0.1:8080 under 'foo'"));
	assert_non_null(strstr(process_stderr(p), "127.0.0.1:9090 under 'bar'"));
	assert_null(strstr(process_stderr(p), "127.0.0.3"));
	guest_serves("127.0.0.9", 4321, "guest");
	guest_serves("127.0.0.9", 4322, "guest");
	process_stop(p, SIGTERM);
}

/* --- UDP ------------------------------------------------------------------------------------- */

static void udp_is_registered_when_it_is_bound(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = guest_start(&foo_info, "server", "--name", "dns", "udp,127.0.0.1,8053", NULL);
	guest_send("127.0.0.9", 4321, "hello");
	process_wait_output(p, "dns got hello\n");
	guest_said(p, "registered udp 127.0.0.1:8053 under 'foo': ipv4 slot 1");
	process_stop(p, SIGTERM);
}

static void udp_without_a_port_of_its_own_is_not(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	guest_dispatcher();
	p = guest_start(&(struct guest_options){ .env = { "ISOMER_RULES=foo=*:*:*", INFO } },
			"server", "udp,127.0.0.1,0", "udp,0.0.0.0,0", NULL);
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_UDP), 0);
	guest_said_nothing(p);
	process_stop(p, SIGTERM);
}

static void by_label_one_udp_port_is_registered(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	guest_dispatcher();
	p = guest_start(&foo, "server", "udp,127.0.0.1,8053", "udp,127.0.0.1,8054", NULL);
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_UDP), 1);
	guest_said_nothing(p);
	process_stop(p, SIGTERM);

	p = guest_start(&(struct guest_options){ .env = { FOO, INFO } }, "server",
			"udp,127.0.0.1,8053", "udp,127.0.0.1,8054", "udp,127.0.0.1,8055", NULL);
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_UDP), 1);
	assert_non_null(strstr(process_stderr(p), "udp 127.0.0.1:8054 is not registered"));
	assert_null(strstr(process_stderr(p), "8055"));
	process_stop(p, SIGTERM);
}

static void further_udp_sockets_of_the_port_are_standbys(void **state)
{
	static const struct guest_options by[] = { { .env = { FOO } },
						   { .env = { "ISOMER_RULES=foo=udp:*:*" } } };
	struct netns_fixture *ns = netns_or_skip(state);
	uint64_t cookies[ISOMER_SLOTS];

	guest_dispatcher();
	for (size_t i = 0; i < 2; i++) {
		struct process *p = guest_start(&by[i], "server", "udp,127.0.0.1,8053,reuseport",
						"udp,127.0.0.1,8053,reuseport",
						"udp,127.0.0.1,8053,reuseport", NULL);

		read_slots(ns, IPPROTO_UDP, cookies);
		assert_true(cookies[0] == cookies[1]); /* the first is current */
		assert_true(cookies[2] != 0 && cookies[2] != cookies[1]);
		assert_true(cookies[3] == 0);
		guest_said_nothing(p);
		process_stop(p, SIGTERM);
	}
}

/* 15 ports take all standbys, the 16th is current alone, and its second socket finds no room. */
static void a_standby_that_is_not_free_is_not_missed(void **state)
{
	static const struct guest_options strict = { .env = { "ISOMER_RULES=foo=udp:*:*",
							      "ISOMER_ON_ERROR=fail" } };
	struct netns_fixture *ns = netns_or_skip(state);
	uint64_t cookies[ISOMER_SLOTS];
	struct process *p;

	guest_dispatcher();
	p = guest_start(&strict, "server", "udp,127.0.0.1,1", "udp,127.0.0.1,2", "udp,127.0.0.1,3",
			"udp,127.0.0.1,4", "udp,127.0.0.1,5", "udp,127.0.0.1,6", "udp,127.0.0.1,7",
			"udp,127.0.0.1,8", "udp,127.0.0.1,9", "udp,127.0.0.1,10",
			"udp,127.0.0.1,11", "udp,127.0.0.1,12", "udp,127.0.0.1,13",
			"udp,127.0.0.1,14", "udp,127.0.0.1,15", "udp,127.0.0.1,16,reuseport",
			"udp,127.0.0.1,16,reuseport", NULL);
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_UDP), 16);
	read_slots(ns, IPPROTO_UDP, cookies);
	for (size_t i = 1; i < ISOMER_SLOTS; i++)
		assert_true(cookies[i] != 0 && cookies[i] != cookies[0]);
	assert_null(strstr(process_stdout(p), "bind=-1"));
	guest_said_nothing(p);
	process_stop(p, SIGTERM);
}

static void tcp_and_udp_ports_do_not_disturb_each_other(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct process *p;

	guest_dispatcher();
	p = guest_start(&foo, "server", "tcp,127.0.0.1,8080", "udp,127.0.0.1,8053", NULL);
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_TCP), 1);
	assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_UDP), 1);
	guest_said_nothing(p);
	process_stop(p, SIGTERM);
}

/* --- inherited ------------------------------------------------------------------------------- */

/* Starts the guest "inherits" with a listener as descriptor 3 by way of a shell, which sets the
 * variables first. */
static struct process *start_inherits(const char *variables, int listener)
{
	CLEANUP_FREE char *script = NULL, *preload = NULL;
	struct process_options o = { .pass_fd = listener };
	struct process *p;

	assert_true(asprintf(&script, "%s exec %s", variables, guest_path("inherits")) > 0);
	assert_true(asprintf(&preload, "LD_PRELOAD=%s", preload_path()) > 0);
	o.argv = (const char *const[]){ "sh", "-c", script, NULL };
	o.env = (const char *const[]){ FOO, preload, NULL };
	p = process_start(&o);
	process_wait_output(p, "ready");
	return p;
}

static void inherited_listeners_are_registered_at_start(void **state)
{
	static const char *const variables[] = { "LISTEN_PID=$$ LISTEN_FDS=1", "NGINX='3;'",
						 "LISTEN_PID=$$ LISTEN_FDS=1000", "NGINX='3:7;'" };
	struct netns_fixture *ns = netns_or_skip(state);

	guest_dispatcher();
	for (size_t i = 0; i < 4; i++) {
		CLEANUP_FD int listener = tcp_listen("127.0.0.1", 8080);
		struct process *p = start_inherits(variables[i], listener);

		close(TAKE_FD(listener));
		guest_serves("127.0.0.9", 4321, "inherits");
		guest_said_nothing(p);
		process_stop(p, SIGTERM);
		assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_TCP), 0);
	}
}

static void variables_for_others_are_left_alone(void **state)
{
	static const char *const variables[] = {
		"LISTEN_PID=1 LISTEN_FDS=1",
		"LISTEN_FDS=1",
		"LISTEN_PID=$$ LISTEN_FDS=0",
		"LISTEN_PID=$$ LISTEN_FDS=-1",
		"NGINX=3",
		"LISTEN_PID=$$ LISTEN_FDS=9999999",
		"NGINX='3;x'",
	};
	CLEANUP_FD int listener = -1;
	struct netns_fixture *ns = netns_or_skip(state);

	guest_dispatcher();
	listener = tcp_listen("127.0.0.1", 8080);
	for (size_t i = 0; i < sizeof(variables) / sizeof(*variables); i++) {
		struct process *p = start_inherits(variables[i], listener);

		assert_int_equal(guest_sockets(ns, AF_INET, IPPROTO_TCP), 0);
		guest_said_nothing(p);
		process_stop(p, SIGTERM);
	}
}

/* --- several servers ------------------------------------------------------------------------- */

static void the_newest_server_gets_the_traffic_and_the_older_stands_by(void **state)
{
	struct process *older, *newer;

	(void)netns_or_skip(state);
	guest_dispatcher();
	older = guest_start(&foo, "server", "--name", "older", "tcp,127.0.0.1,8080", NULL);
	guest_serves("127.0.0.9", 4321, "older");
	newer = guest_start(&foo, "server", "--name", "newer", "tcp,127.0.0.1,9090", NULL);
	guest_serves("127.0.0.9", 4321, "newer");
	process_stop(newer, SIGKILL);
	guest_serves("127.0.0.9", 4321, "older");
	process_stop(older, SIGKILL);
	guest_refused("127.0.0.9", 4321);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		netns_test(by_label_the_first_port_is_kept_and_the_second_told),
		netns_test(another_address_of_the_port_is_ambiguous_too),
		netns_test(one_port_of_both_ip_versions_is_not),
		netns_test(another_port_of_the_other_ip_version_is),
		netns_test(a_closed_socket_is_no_longer_the_first),
		netns_test(a_dual_stack_socket_serves_both),
		netns_test(of_reuseport_workers_two_are_kept),
		netns_test(listening_again_changes_nothing),
		netns_test(by_rules_any_number_of_ports_is_registered),
		netns_test(by_rules_too_two_workers_of_an_address_are_kept),
		netns_test(at_debug_level_it_says_what_it_leaves_alone),
		netns_test(rules_send_ports_to_labels),
		netns_test(udp_is_registered_when_it_is_bound),
		netns_test(udp_without_a_port_of_its_own_is_not),
		netns_test(by_label_one_udp_port_is_registered),
		netns_test(further_udp_sockets_of_the_port_are_standbys),
		netns_test(a_standby_that_is_not_free_is_not_missed),
		netns_test(tcp_and_udp_ports_do_not_disturb_each_other),
		netns_test(inherited_listeners_are_registered_at_start),
		netns_test(variables_for_others_are_left_alone),
		netns_test(the_newest_server_gets_the_traffic_and_the_older_stands_by),
	};

	return cmocka_run_group_tests_name("preload_register", tests, NULL, NULL);
}
