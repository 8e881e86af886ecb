/* SPDX-License-Identifier: BSD-3-Clause */
/* Real servers, unmodified, on addresses and ports that they did not bind. */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/server.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"

#define HTTP_REQUEST "GET / HTTP/1.0\r\nHost: test\r\n\r\n"

/* Where a server of this test keeps its files; empty while there is none. */
static char folder[64];

static void make_folder(void)
{
	snprintf(folder, sizeof(folder), "/tmp/isomer-servers-XXXXXX");
	assert_non_null(mkdtemp(folder));
}

static int remove_entry(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
	(void)sb;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	int r = netns_teardown(state); /* ends what might still write there */

	if (folder[0])
		(void)nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	folder[0] = '\0';
	return r;
}

#define folder_test(fn) cmocka_unit_test_setup_teardown(fn, netns_setup, teardown)

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* What the ordinary lookup finds, for both families: a server that has no business with the
 * traffic of a label. */
static int other_server(uint16_t port)
{
	int fd = tcp_listen_dual(port);

	assert_return_code(fd, -fd);
	return fd;
}

/* The body that an HTTP server there answers with. */
static void assert_http(const char *ip, uint16_t port, const char *body)
{
	char answer[4096];
	int r = tcp_exchange(ip, port, HTTP_REQUEST, answer, sizeof(answer));

	if (r < 0)
		fail_msg("%s port %u: %s", ip, port, strerror(-r));
	if (!strstr(answer, " 200 OK\r\n") || !strstr(answer, body))
		fail_msg("%s port %u: expected '%s', got:\n%s", ip, port, body, answer);
}

static void bind_label(const char *label, const char *protocol, const char *prefix,
		       const char *port)
{
	loader_ok("bind", label, protocol, prefix, port, NULL);
}

/* ---- nginx ---- */

static const char nginx_config[] = "user root;\n"
				   "daemon off;\n"
				   "worker_processes 2;\n"
				   "pid nginx.pid;\n"
				   "error_log stderr notice;\n"
				   "events { }\n"
				   "http {\n"
				   "	access_log off;\n"
				   "	client_body_temp_path body;\n"
				   "	proxy_temp_path proxy;\n"
				   "	fastcgi_temp_path fastcgi;\n"
				   "	uwsgi_temp_path uwsgi;\n"
				   "	scgi_temp_path scgi;\n"
				   "	server {\n"
				   "		listen 127.0.0.1:8080;\n"
				   "		return 200 \"web of $pid.\";\n"
				   "	}\n"
				   "	server {\n"
				   "		listen 127.0.0.1:8443 reuseport;\n"
				   "		return 200 \"tls of $pid.\";\n"
				   "	}\n"
				   "}\n";

static struct process *start_nginx(void)
{
	struct process *p;

	make_folder();
	write_file("nginx.conf", nginx_config);
	p = server_start("ISOMER_RULES=web=tcp:*:8080;tls=tcp:*:8443",
			 (const char *const[]){ "nginx", "-p", folder, "-c", "nginx.conf", "-e",
						"stderr", NULL });
	server_wait_registered(p, "web");
	server_wait_registered(p, "tls");
	return p;
}

/* Who answers @ip:@port with "@name of PID."? */
static pid_t nginx_worker(const char *ip, uint16_t port, const char *name)
{
	char answer[1024], *body;
	int pid = 0, r = tcp_exchange(ip, port, HTTP_REQUEST, answer, sizeof(answer));

	assert_return_code(r, -r);
	body = strstr(answer, name);
	if (!body || sscanf(body + strlen(name), " of %d.", &pid) != 1)
		fail_msg("%s port %u: expected %s, got:\n%s", ip, port, name, answer);
	return pid;
}

/* Each worker has a socket of its own there, in one SO_REUSEPORT group. */
static void assert_nginx_shares(const char *ip, uint16_t port, const char *name)
{
	pid_t first = nginx_worker(ip, port, name);

	for (int i = 0; i < 40; i++)
		if (nginx_worker(ip, port, name) != first)
			return;
	fail_msg("all connections went to one worker of %s", name);
}

static void nginx_serves_two_labels(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int other_web = -1, other_tls = -1;

	netns_or_skip(state);
	server_need("nginx");
	loader_ok("load", NULL);
	bind_label("web", "tcp", "127.0.0.2", "80");
	bind_label("tls", "tcp", "127.0.0.3", "443");
	other_web = other_server(80);
	other_tls = other_server(443);

	p = start_nginx();
	for (int i = 0; i < 10; i++)
		assert_int_not_equal(nginx_worker("127.0.0.2", 80, "web"), process_pid(p));
	assert_nginx_shares("127.0.0.3", 443, "tls");
	assert_false(net_readable(other_web, 0));
	assert_false(net_readable(other_tls, 0));
	assert_int_equal(server_stop(TAKE_PTR(p), SIGQUIT), 0);
}

/* New workers take over the listeners of the master, which stay the same sockets. */
static void nginx_reloads_without_losing_its_labels(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int other = -1;
	pid_t worker;

	netns_or_skip(state);
	server_need("nginx");
	loader_ok("load", NULL);
	bind_label("web", "tcp", "127.0.0.2", "80");
	bind_label("tls", "tcp", "127.0.0.3", "443");
	other = other_server(80);

	p = start_nginx();
	worker = nginx_worker("127.0.0.2", 80, "web");
	assert_return_code(kill(process_pid(p), SIGHUP), errno);
	/* The signal of an old worker's end: by then the new ones are at work. */
	process_wait_output(p, "signal 17 (SIGCHLD) received");
	assert_int_not_equal(nginx_worker("127.0.0.2", 80, "web"), worker);
	(void)nginx_worker("127.0.0.3", 443, "tls");
	assert_false(net_readable(other, 0));
	assert_int_equal(server_stop(TAKE_PTR(p), SIGQUIT), 0);
}

/* ---- others ---- */

static void redis_answers_a_ping(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int other = -1;
	char answer[64];

	netns_or_skip(state);
	server_need("redis-server");
	loader_ok("load", NULL);
	bind_label("cache", "tcp", "127.0.0.2", "6379");
	other = other_server(6379);

	make_folder();
	p = server_start("ISOMER_LABEL=cache",
			 (const char *const[]){ "redis-server", "--bind", "127.0.0.1", "--port",
						"6400", "--save", "", "--appendonly", "no", "--dir",
						folder, NULL });
	server_wait_registered(p, "cache");
	assert_int_equal(
		tcp_exchange("127.0.0.2", 6379, "PING\r\nQUIT\r\n", answer, sizeof(answer)), 12);
	assert_string_equal(answer, "+PONG\r\n+OK\r\n");
	assert_false(net_readable(other, 0));
	assert_int_equal(server_stop(TAKE_PTR(p), SIGTERM), 0);
}

static struct process *start_http_server(const char *address)
{
	struct process *p;

	make_folder();
	write_file("index.html", "the page of python");
	p = server_start("ISOMER_LABEL=web",
			 (const char *const[]){ server_python(), "-m", "http.server", "8080",
						"--bind", address, "--directory", folder, NULL });
	server_wait_registered(p, "web");
	return p;
}

static void python_http_server_on_an_ipv4_address(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int other = -1;

	netns_or_skip(state);
	loader_ok("load", NULL);
	bind_label("web", "tcp", "127.0.0.2", "80");
	bind_label("web", "tcp", "::1", "80");
	other = other_server(80);

	p = start_http_server("127.0.0.1");
	assert_http("127.0.0.2", 80, "the page of python");
	server_refuses("::1", 80); /* it has no socket for IPv6, so nobody gets it */
	assert_false(net_readable(other, 0));
	server_stop(TAKE_PTR(p), SIGKILL);
}

static void python_http_server_on_both_families(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int other = -1;

	netns_or_skip(state);
	loader_ok("load", NULL);
	server_local_prefix("2001:db8::/64");
	bind_label("web", "tcp", "127.0.0.2", "80");
	bind_label("web", "tcp", "2001:db8::2", "80");
	other = other_server(80);

	p = start_http_server("::");
	assert_http("127.0.0.1", 8080, "the page of python"); /* IPV6_V6ONLY is off */
	assert_http("127.0.0.2", 80, "the page of python");
	assert_http("2001:db8::2", 80, "the page of python");
	assert_false(net_readable(other, 0));
	server_stop(TAKE_PTR(p), SIGKILL);
}

static void node_server_without_an_address(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int other = -1;

	netns_or_skip(state);
	server_need("node");
	loader_ok("load", NULL);
	server_local_prefix("2001:db8::/64");
	bind_label("web", "tcp", "127.0.0.2", "80");
	bind_label("web", "tcp", "2001:db8::2", "80");
	other = other_server(80);

	p = server_start(
		"ISOMER_LABEL=web",
		(const char *const[]){ "node", "-e",
				       "require('http').createServer((request, response) => "
				       "response.end('the page of node')).listen(8080)",
				       NULL });
	server_wait_registered(p, "web");
	assert_http("127.0.0.2", 80, "the page of node");
	assert_http("2001:db8::2", 80, "the page of node");
	assert_false(net_readable(other, 0));
	server_stop(TAKE_PTR(p), SIGKILL);
}

/* Sends a line to nc through the dispatcher; it prints what it gets. */
static void assert_nc_gets(struct process *p, const char *line)
{
	CLEANUP_FD int fd = tcp_connect("127.0.0.2", 80);

	assert_return_code(fd, -fd);
	assert_int_equal(send(fd, line, strlen(line), MSG_NOSIGNAL), strlen(line));
	process_wait_output(p, line);
}

static void nc_under_the_library(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int other = -1;

	netns_or_skip(state);
	server_need("nc");
	loader_ok("load", NULL);
	bind_label("foo", "tcp", "127.0.0.0/24", "80");
	other = other_server(80);

	p = server_start("ISOMER_LABEL=foo",
			 (const char *const[]){ "nc", "-k", "-l", "127.0.0.1", "9999", NULL });
	server_wait_registered(p, "foo");
	assert_nc_gets(p, "first");
	assert_nc_gets(p, "second");
	assert_false(net_readable(other, 0));
	server_stop(TAKE_PTR(p), SIGKILL);
}

static void nc_by_register_pid(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int other = -1;

	netns_or_skip(state);
	server_need("nc");
	loader_ok("load", NULL);
	bind_label("foo", "tcp", "127.0.0.0/24", "80");
	other = other_server(80);

	p = process_start(&(struct process_options){
		.argv = (const char *const[]){ "nc", "-k", "-l", "127.0.0.1", "9999", NULL } });
	process_wait_port(p, "tcp", 9999);
	server_refuses("127.0.0.2", 80); /* it has not registered itself */
	loader_register(process_pid(p), "foo", "tcp", "127.0.0.1", 9999);
	assert_nc_gets(p, "first");
	assert_nc_gets(p, "second");
	assert_false(net_readable(other, 0));
}

static void accepted_socket_has_the_address_that_the_client_asked_for(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int other = -1;

	netns_or_skip(state);
	loader_ok("load", NULL);
	server_local_prefix("2001:db8::/64");
	bind_label("web", "tcp", "127.0.0.2", "80");
	bind_label("web", "tcp", "2001:db8::2", "81");
	other = other_server(80);

	/* server_answers() compares what the server's getsockname() has said. */
	p = server_start_tcp("web", "one", "127.0.0.1", 8080, 0);
	server_answers("127.0.0.2", 80, "one");
	server_stop(TAKE_PTR(p), SIGKILL);
	p = server_start_tcp("web", "two", "::1", 8080, 0);
	server_answers("2001:db8::2", 81, "two");
	assert_false(net_readable(other, 0));
	server_stop(TAKE_PTR(p), SIGKILL);
}

/* ---- prefixes and ports ---- */

struct target {
	const char *ip;
	uint16_t port;
};

#define TARGETS(...)                                                                               \
	(const struct target[])                                                                    \
	{                                                                                          \
		__VA_ARGS__,                                                                       \
		{                                                                                  \
			0                                                                          \
		}                                                                                  \
	}

static void assert_label_gets(const struct target *target)
{
	for (; target->ip; target++)
		server_answers(target->ip, target->port, "label");
}

/* Nobody is there for these; and when somebody is, he gets it and not the label. */
static void assert_label_does_not_get(const struct target *target)
{
	for (; target->ip; target++) {
		int fd;

		server_refuses(target->ip, target->port);
		fd = other_server(target->port);
		assert_int_equal(tcp_who_accepts(target->ip, target->port, &fd, 1), 0);
		close(fd);
	}
}

static void subnet_reaches_the_server_and_its_neighbours_do_not(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL, *p6 = NULL;

	netns_or_skip(state);
	loader_ok("load", NULL);
	server_local_prefix("2001:db8::/32");
	bind_label("net", "tcp", "127.0.5.0/24", "80");
	bind_label("net", "tcp", "2001:db8:5::/64", "80");

	p = server_start_tcp("net", "label", "127.0.0.1", 8080, 0);
	p6 = server_start_tcp("net", "label", "::1", 8080, 0);
	assert_label_gets(TARGETS({ "127.0.5.0", 80 }, { "127.0.5.77", 80 }, { "127.0.5.255", 80 },
				  { "2001:db8:5::", 80 }, { "2001:db8:5::1234", 80 },
				  { "2001:db8:5:0:ffff:ffff:ffff:ffff", 80 }));
	assert_label_does_not_get(TARGETS(
		{ "127.0.4.255", 80 }, { "127.0.6.0", 80 }, { "127.0.5.77", 79 },
		{ "127.0.5.77", 81 }, { "2001:db8:4:ffff:ffff:ffff:ffff:ffff", 80 },
		{ "2001:db8:5:1::", 80 }, { "2001:db8:5::1234", 79 }, { "2001:db8:5::1234", 81 }));
	server_stop(TAKE_PTR(p), SIGKILL);
	server_stop(TAKE_PTR(p6), SIGKILL);
}

static void port_range_reaches_the_server_and_its_neighbours_do_not(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;

	netns_or_skip(state);
	loader_ok("load", NULL);
	bind_label("range", "tcp", "127.0.6.1", "7000-7010");

	p = server_start_tcp("range", "label", "127.0.0.1", 8080, 0);
	assert_label_gets(
		TARGETS({ "127.0.6.1", 7000 }, { "127.0.6.1", 7005 }, { "127.0.6.1", 7010 }));
	assert_label_does_not_get(TARGETS({ "127.0.6.1", 6999 }, { "127.0.6.1", 7011 },
					  { "127.0.6.0", 7005 }, { "127.0.6.2", 7005 }));
	server_stop(TAKE_PTR(p), SIGKILL);
}

static void all_ports_reach_the_server(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;

	netns_or_skip(state);
	loader_ok("load", NULL);
	server_local_prefix("2001:db8::/64");
	bind_label("all", "tcp", "127.0.7.1", "0");

	p = server_start_tcp("all", "label", "127.0.0.1", 8080, 0);
	assert_label_gets(TARGETS({ "127.0.7.1", 1 }, { "127.0.7.1", 22 }, { "127.0.7.1", 8080 },
				  { "127.0.7.1", 65535 }));
	assert_label_does_not_get(
		TARGETS({ "127.0.7.0", 22 }, { "127.0.7.2", 22 }, { "2001:db8::1", 22 }));
	server_stop(TAKE_PTR(p), SIGKILL);
}

/* ---- UDP ---- */

static struct process *start_udp(const char *address, const char *port, const char *port2)
{
	struct process *p =
		server_start("ISOMER_LABEL=dns",
			     (const char *const[]){ server_python(), server_script("server_udp.py"),
						    "udp", address, port, port2, NULL });

	process_wait_output(p, "bound\n");
	return p;
}

static void send_datagram(const char *ip, uint16_t port, const char *text)
{
	struct sockaddr_storage to;
	socklen_t len = net_address(ip, port, &to);
	CLEANUP_FD int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_return_code(fd, errno);
	assert_int_equal(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, len),
			 strlen(text));
}

static void udp_server_gets_datagrams_of_bound_addresses_and_ports(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int other = -1;

	netns_or_skip(state);
	loader_ok("load", NULL);
	bind_label("dns", "udp", "127.0.0.2", "53");
	bind_label("dns", "udp", "127.0.5.0/24", "500-501");
	other = udp_bind_dual(53);
	assert_return_code(other, -other);

	p = start_udp("127.0.0.1", "5353", NULL);
	send_datagram("127.0.0.2", 53, "exact");
	process_wait_output(p, "udp 5353 got exact\n");
	send_datagram("127.0.5.255", 501, "edge");
	process_wait_output(p, "udp 5353 got edge\n");
	assert_false(net_readable(other, 0));

	/* Just outside: refused, or somebody else's. */
	assert_int_equal(udp_who_receives("127.0.5.255", 502, NULL, 0), -ECONNREFUSED);
	assert_int_equal(udp_who_receives("127.0.5.255", 499, NULL, 0), -ECONNREFUSED);
	assert_int_equal(udp_who_receives("127.0.6.0", 501, NULL, 0), -ECONNREFUSED);
	assert_int_equal(udp_who_receives("127.0.0.3", 53, &other, 1), 0);
	server_stop(TAKE_PTR(p), SIGKILL);
}

static void udp_server_on_both_families(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int other = -1;

	netns_or_skip(state);
	loader_ok("load", NULL);
	server_local_prefix("2001:db8::/64");
	bind_label("dns", "udp", "127.0.0.2", "53");
	bind_label("dns", "udp", "2001:db8::2", "53");
	other = udp_bind_dual(53);
	assert_return_code(other, -other);

	p = start_udp("::", "5353", NULL);
	send_datagram("127.0.0.2", 53, "four");
	process_wait_output(p, "udp 5353 got four\n");
	send_datagram("2001:db8::2", 53, "six");
	process_wait_output(p, "udp 5353 got six\n");
	assert_false(net_readable(other, 0));
	server_stop(TAKE_PTR(p), SIGKILL);
}

static void udp_socket_on_a_port_of_the_kernel_is_not_registered(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;

	netns_or_skip(state);
	loader_ok("load", NULL);
	bind_label("dns", "udp", "127.0.0.2", "53");

	p = start_udp("127.0.0.1", "0", NULL);
	assert_string_equal(process_stderr(p), ""); /* nor is that worth a word */
	assert_int_equal(udp_who_receives("127.0.0.2", 53, NULL, 0), -ECONNREFUSED);
	server_stop(TAKE_PTR(p), SIGKILL);

	/* It is not the process's first port either. */
	p = start_udp("127.0.0.1", "0", "5353");
	send_datagram("127.0.0.2", 53, "text");
	process_wait_output(p, "udp 5353 got text\n");
	server_stop(TAKE_PTR(p), SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		folder_test(nginx_serves_two_labels),
		folder_test(nginx_reloads_without_losing_its_labels),
		folder_test(redis_answers_a_ping),
		folder_test(python_http_server_on_an_ipv4_address),
		folder_test(python_http_server_on_both_families),
		netns_test(node_server_without_an_address),
		netns_test(nc_under_the_library),
		netns_test(nc_by_register_pid),
		netns_test(accepted_socket_has_the_address_that_the_client_asked_for),
		netns_test(subnet_reaches_the_server_and_its_neighbours_do_not),
		netns_test(port_range_reaches_the_server_and_its_neighbours_do_not),
		netns_test(all_ports_reach_the_server),
		netns_test(udp_server_gets_datagrams_of_bound_addresses_and_ports),
		netns_test(udp_server_on_both_families),
		netns_test(udp_socket_on_a_port_of_the_kernel_is_not_registered),
	};

	return cmocka_run_group_tests_name("servers", tests, NULL, NULL);
}
