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
#include "integration/registrar_client.h"
#include "integration/server.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"
#include "support/ruleset_model.h"

#define NOBODY 65534

/* A dispatcher whose label "echo" gets ports of each family, whole and below 1024 among them. Their
 * addresses are not configured, but local. */
static void make_dispatcher(void)
{
	loader_ok("load", NULL);
	server_local_prefix("198.51.100.0/24");
	server_local_prefix("2001:db8::/64");
	loader_ok("bind", "echo", "udp", "127.0.0.2", "7000", NULL);
	loader_ok("bind", "echo", "udp", "127.0.5.0/24", "500-509", NULL);
	loader_ok("bind", "echo", "udp", "198.51.100.0/24", "0", NULL);
	loader_ok("bind", "echo", "udp", "2001:db8::2", "7000", NULL);
	loader_ok("bind", "echo", "udp", "2001:db8::/64", "0", NULL);
}

/* Whoever is bound to a port of all addresses gets none of the label's. One that does not share its
 * port would keep everybody from answering from there. */
static int bystander_bind(uint16_t port)
{
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;
	struct sockaddr_storage all;
	socklen_t len = net_address("::", port, &all);

	assert_return_code(fd, errno);
	assert_return_code(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), errno);
	assert_return_code(bind(fd, (struct sockaddr *)&all, len), errno);
	return fd;
}

static void assert_echo(const char *ip, uint16_t port)
{
	char text[64], answer[64];
	int r;

	snprintf(text, sizeof(text), "to %.40s %u", ip, port);
	r = udp_exchange(ip, port, text, answer, sizeof(answer));
	if (r < 0)
		fail_msg("%s port %u: %s", ip, port, strerror(-r));
	assert_string_equal(answer, text);
}

/* The server's own place, other addresses, other ports, some below 1024. */
static const struct place {
	const char *ip;
	uint16_t port;
} ipv4_places[] = {
	{ "127.0.0.1", 7000 },    { "127.0.0.2", 7000 },    { "127.0.5.0", 500 },
	{ "127.0.5.255", 509 },   { "198.51.100.7", 7000 }, { "198.51.100.7", 9000 },
	{ "198.51.100.8", 1 },    { NULL, 0 },
}, ipv6_places[] = {
	{ "::1", 7000 },          { "2001:db8::2", 7000 },  { "2001:db8::3", 7000 },
	{ "2001:db8::3", 9000 },  { "2001:db8::4", 1 },     { NULL, 0 },
};

/* Twice: the first answer from a port is not made as those after it. */
static void assert_echoes(const struct place *places)
{
	for (int i = 0; i < 2; i++)
		for (const struct place *p = places; p->ip; p++)
			assert_echo(p->ip, p->port);
}

static void assert_echo_ipv4(void)
{
	assert_echoes(ipv4_places);
}

static void assert_echo_both(void)
{
	assert_echoes(ipv4_places);
	assert_echoes(ipv6_places);
}

/* Starts @argv, which binds port 7000. */
static struct process *start_server(const char *const *argv)
{
	struct process *p = server_start("ISOMER_LABEL=echo", argv);

	server_wait_registered(p, "echo");
	return p;
}

/* It registers for TCP first, and is ready behind that. */
static struct process *start_example(const char *address)
{
	struct process *p =
		start_server((const char *const[]){ ISOMER_EXAMPLE_ECHO, address, "7000", NULL });

	process_wait_output(p, "ready");
	return p;
}

/* ---- servers ---- */

static void python_server(const char *address, void (*check)(void))
{
	struct process *p;

	p = start_server((const char *const[]){ server_python(), server_script("echo_udp.py"),
						address, "7000", NULL });
	check();
	server_stop(p, SIGKILL);
}

static void python_server_of_each_family(void **state)
{
	CLEANUP_FD int bystander = -1;

	netns_or_skip(state);
	make_dispatcher();
	bystander = bystander_bind(500);
	python_server("0.0.0.0", assert_echo_ipv4);
	python_server("::", assert_echo_both); /* IPV6_V6ONLY is off */
	assert_false(net_readable(bystander, 0));
}

/* recvfrom() and sendto() in C; of TCP it is only to be seen that it does not mind. */
static void example_of_tcp_and_udp(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int bystander = -1;
	char answer[16];
	CLEANUP_FD int client = -1;

	netns_or_skip(state);
	make_dispatcher();
	loader_ok("bind", "echo", "tcp", "198.51.100.0/24", "0", NULL);
	bystander = bystander_bind(500);
	p = start_example("::");
	assert_echo_both();

	client = tcp_connect("198.51.100.9", 80);
	assert_return_code(client, -client);
	assert_int_equal(send(client, "text", 4, MSG_NOSIGNAL), 4);
	assert_int_equal(recv(client, answer, sizeof(answer), 0), 4);
	assert_memory_equal(answer, "text", 4);
	assert_false(net_readable(bystander, 0));
	server_stop(TAKE_PTR(p), SIGKILL);
}

static void node_server(const char *type, void (*check)(void))
{
	char script[256];
	struct process *p;

	snprintf(script, sizeof(script),
		 "const s = require('dgram').createSocket('%s');"
		 "s.on('message', (text, peer) => s.send(text, peer.port, peer.address));"
		 "s.bind(7000)",
		 type);
	p = start_server((const char *const[]){ "node", "-e", script, NULL });
	check();
	server_stop(p, SIGKILL);
}

static void node_server_of_each_family(void **state)
{
	CLEANUP_FD int bystander = -1;

	netns_or_skip(state);
	server_need("node");
	make_dispatcher();
	bystander = bystander_bind(500);
	node_server("udp4", assert_echo_ipv4);
	node_server("udp6", assert_echo_both); /* IPV6_V6ONLY is off here too */
	assert_false(net_readable(bystander, 0));
}

static void socat_answers_and_ends(const char *address, const struct place *places)
{
	for (; places->ip; places++) {
		struct process *p =
			start_server((const char *const[]){ "socat", address, "PIPE", NULL });

		assert_echo(places->ip, places->port);
		assert_int_equal(process_wait(p), 0);
		server_stop(p, SIGKILL);
	}
}

static void socat_of_each_family(void **state)
{
	CLEANUP_FD int bystander = -1;

	netns_or_skip(state);
	server_need("socat");
	make_dispatcher();
	bystander = bystander_bind(500);
	socat_answers_and_ends("UDP4-RECVFROM:7000", ipv4_places);
	socat_answers_and_ends("UDP6-RECVFROM:7000", ipv6_places);
	assert_false(net_readable(bystander, 0));
}

/* It looks at a datagram, and leaves it to a child to take and to answer it. One each, as it may
 * mix up the end of one child with the beginning of the next. */
static void socat_forks_for_a_datagram(void **state)
{
	struct process *p;

	netns_or_skip(state);
	server_need("socat");
	make_dispatcher();
	p = start_server((const char *const[]){ "socat", "UDP4-RECVFROM:7000,fork", "PIPE", NULL });
	assert_echo("198.51.100.7", 7000);
	server_stop(p, SIGKILL);
	p = start_server((const char *const[]){ "socat", "UDP4-RECVFROM:7001,fork", "PIPE", NULL });
	assert_echo("198.51.100.7", 9000);
	server_stop(p, SIGKILL);
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

#ifndef __SANITIZE_ADDRESS__ /* under whose runtime alone dnsmasq hangs as well */

/* It is no longer root when the first query comes, so the registrar binds to port 53, for the user
 * that it became. */
static void dnsmasq_answers_dig(void **state)
{
	struct process *registrar;

	netns_or_skip(state);
	server_need("dnsmasq");
	server_need("dig");
	make_dispatcher();
	loader_ok("bind", "dns", "udp", "127.0.0.2", "53", NULL);
	loader_ok("bind", "dns", "udp", "198.51.100.0/25", "0", NULL);
	loader_ok("grant", "dns", "nobody", NULL);
	registrar = registrar_start();
	for (int i = 0; i < 2; i++) {
		struct process *p =
			server_start("ISOMER_RULES=dns=udp:*:5300",
				     i ? DNSMASQ("5300", "nobody") : DNSMASQ("5300", "root"));

		process_wait_output(p, "cleared cache");
		assert_dig("127.0.0.1", "5300", "192.0.2.7\n");
		assert_dig("127.0.0.2", "53", "192.0.2.7\n");
		assert_dig("198.51.100.9", "5300", "192.0.2.7\n");
		assert_dig("198.51.100.9", "9000", "192.0.2.7\n");
		assert_int_equal(server_stop(p, SIGTERM), 0);
	}
	process_stop(registrar, SIGKILL);
}

#endif

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

/* ---- many places ---- */

#define PAIRS   1000
#define AT_ONCE 100 /* fewer than a receive buffer holds */

struct query {
	char ip[16];
	uint16_t port;
	int client;
};

static void query_send(struct query *q)
{
	q->client = udp_connect(q->ip, q->port);
	if (q->client < 0)
		fail_msg("%s port %u: %s", q->ip, q->port, strerror(-q->client));
	assert_int_equal(send(q->client, q, sizeof(*q), 0), sizeof(*q));
}

static void query_is_answered(struct query *q)
{
	struct query answer;

	if (recv(q->client, &answer, sizeof(answer), 0) != sizeof(answer))
		fail_msg("%s port %u: %s", q->ip, q->port, strerror(errno));
	assert_memory_equal(&answer, q, sizeof(answer));
	close(q->client);
}

static void all_ports_of_a_subnet_answer_from_themselves(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	struct query queries[AT_ONCE] = { 0 };
	struct model_random random;

	netns_or_skip(state);
	make_dispatcher();
	random = model_random_make(1000);
	p = start_example("0.0.0.0");
	for (unsigned done = 0; done < PAIRS; done += AT_ONCE) {
		for (size_t i = 0; i < AT_ONCE; i++) {
			snprintf(queries[i].ip, sizeof(queries[i].ip), "198.51.100.%u",
				 model_random(&random, 256));
			queries[i].port = (uint16_t)(1 + model_random(&random, 65535));
			query_send(&queries[i]);
		}
		for (size_t i = 0; i < AT_ONCE; i++)
			query_is_answered(&queries[i]);
	}
	server_stop(TAKE_PTR(p), SIGKILL);
}

/* ---- without rights ---- */

/* It may neither bind a port below 1024 nor an address that is not configured: the registrar does
 * that for it. */
static void unprivileged_server_answers_from_port_53(void **state)
{
	CLEANUP(process_stopp) struct process *registrar = NULL, *p = NULL;
	CLEANUP_FREE char *preload = NULL;

	netns_or_skip(state);
	make_dispatcher();
	loader_ok("bind", "echo", "udp", "127.0.0.2", "53", NULL);
	loader_ok("grant", "echo", "nobody", NULL);
	registrar = registrar_start();
	assert_true(asprintf(&preload, "LD_PRELOAD=%s", preload_path()) > 0);
	p = process_start(&(struct process_options){
		.argv = (const char *const[]){ ISOMER_EXAMPLE_ECHO, "0.0.0.0", "7000", NULL },
		.env = (const char *const[]){ preload, "ISOMER_LABEL=echo", "ISOMER_LOG=info",
					      NULL },
		.uid = NOBODY });
	process_wait_output(p, "ready");
	assert_echo("127.0.0.2", 53);
	assert_echo_ipv4();
	server_stop(TAKE_PTR(p), SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(python_server_of_each_family),
		netns_test(example_of_tcp_and_udp),
		netns_test(node_server_of_each_family),
		netns_test(socat_of_each_family),
		netns_test(socat_forks_for_a_datagram),
#ifndef __SANITIZE_ADDRESS__
		netns_test(dnsmasq_answers_dig),
#endif
		netns_test(go_server_by_attach),
		netns_test(all_ports_of_a_subnet_answer_from_themselves),
		netns_test(unprivileged_server_answers_from_port_53),
	};

	return cmocka_run_group_tests_name("UDP servers", tests, NULL, NULL);
}
