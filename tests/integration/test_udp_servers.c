/* SPDX-License-Identifier: BSD-3-Clause */
/* Real UDP servers, unmodified: their answers leave from the address and port that the client
 * asked, whatever they are bound to. Clients are connected, so that an answer from elsewhere does
 * not reach them.
 */
#include <errno.h>
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

#include "integration/own_cgroup.h"
#include "integration/server.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"

/* ---- servers ---- */

static void example_echoes_tcp(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int client = -1;
	char answer[16];

	netns_or_skip(state);
	loader_ok("load", NULL);
	loader_ok("bind", "echo", "tcp", "127.0.5.0/24", "0", NULL);
	p = server_start("ISOMER_LABEL=echo",
			 (const char *const[]){ ISOMER_EXAMPLE_ECHO, "::", "7000", NULL });
	process_wait_output(p, "ready");
	client = tcp_connect("127.0.5.9", 80);
	assert_return_code(client, -client);
	assert_int_equal(send(client, "text", 4, MSG_NOSIGNAL), 4);
	assert_int_equal(recv(client, answer, sizeof(answer), MSG_WAITALL), 4);
	assert_memory_equal(answer, "text", 4);
	server_stop(TAKE_PTR(p), SIGKILL);
}

/* ---- DNS ---- */

/* dig takes no answer from another address or port than it asked. */
static void assert_dig(const char *ip, const char *port, const char *expected)
{
	char server[64];
	CLEANUP(command_done) struct command_result r = { 0 };

	snprintf(server, sizeof(server), "@%s", ip);
	r = command_run(&(struct process_options){
		.argv = (const char *const[]){ "dig", "+short", "+tries=1", "+time=5", server, "-p",
					       port, "host", "A", NULL } });
	if (r.status != 0 || strcmp(r.out, expected) != 0)
		fail_msg("%s port %s: '%s%s'", ip, port, r.out, r.err);
}

/* Without --bind-interfaces it sees itself to the address that an answer leaves from, though not to
 * the port. To IPv6 it answers on addresses of its own alone, whatever it is bound to. */
#define DNSMASQ(port, user)                                                                        \
	(const char *const[])                                                                      \
	{                                                                                          \
		"dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts",                    \
			"--conf-file=/dev/null", "--pid-file=", "--log-facility=-",                \
			"--bind-interfaces", "--listen-address=127.0.0.1", "--port=" port,         \
			"--user=" user, "--address=/host/192.0.2.7", NULL                          \
	}

/* ---- without the library ---- */

/* Go, which no library sees the calls of. A name without a dot it asks of the server on port 5301.
 */
static const char start_dnss[] =
	"echo ready; exec dnss -enable_dns_to_https -dns_listen_addr 0.0.0.0:5300 "
	"-dns_unqualified_upstream 127.0.0.1:5301";

/* It sees itself to the address that an answer leaves from; what nothing can see to here is the
 * port. */
static void go_server_by_attach(void **state)
{
	CLEANUP(process_stopp) struct process *upstream = NULL;
	struct own_cgroup cg;
	struct process *p;

	netns_or_skip(state);
	server_need("dnss");
	server_need("dnsmasq");
	server_need("dig");
	loader_ok("load", NULL);
	server_local_prefix("198.51.100.0/24");
	loader_ok("bind", "dns", "udp", "198.51.100.0/24", "5300", NULL);
	upstream = process_start(&(struct process_options){ .argv = DNSMASQ("5301", "root") });
	process_wait_output(upstream, "cleared cache");
	own_cgroup_make(&cg);
	p = own_cgroup_start(&cg, "sh", "-c", start_dnss, NULL);
	process_wait_port(p, "udp", 5300);
	loader_ok("attach", "-l", "dns", cg.path, NULL);
	assert_dig("198.51.100.1", "5300", "192.0.2.7\n");
	assert_dig("198.51.100.254", "5300", "192.0.2.7\n");
	process_stop(p, SIGKILL);
	own_cgroup_done(&cg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(example_echoes_tcp),
		netns_test(go_server_by_attach),
	};

	return cmocka_run_group_tests_name("UDP servers", tests, NULL, NULL);
}
