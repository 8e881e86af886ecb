/* SPDX-License-Identifier: BSD-3-Clause */
/* UDP under the library: answers leave from the address and port that the client wrote to. Clients
 * are connected, so that an answer from elsewhere does not reach them.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "integration/registrar_client.h"
#include "integration/server.h"
#include "integration/udp_asked.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"

#define MANY  1000
#define BURST 20

static const struct guest_options under_foo = { .env = { "ISOMER_LABEL=foo" } };

static int client(const char *ip, uint16_t port)
{
	int fd = udp_connect(ip, port);

	assert_return_code(fd, -fd);
	return fd;
}

static void assert_answered(int fd, const char *what)
{
	char answer[16];

	if (!net_readable(fd, NET_TIMEOUT_MS))
		fail_msg("%s: no answer", what);
	assert_int_equal(recv(fd, answer, sizeof(answer), 0), 4);
	assert_memory_equal(answer, "text", 4);
}

static void ask(const char *ip, uint16_t port)
{
	CLEANUP_FD int fd = client(ip, port);
	char what[64];

	snprintf(what, sizeof(what), "%s port %u", ip, port);
	assert_int_equal(send(fd, "text", 4, 0), 4);
	assert_answered(fd, what);
}

/* One after the other: while the server's socket is connected to one client, no other reaches it.
 */
static void ask_each(struct process *p, bool ipv4, bool ipv6)
{
	static const struct {
		const char *ip;
		uint16_t port;
		bool ipv6;
	} asked[] = {
		{ "198.51.100.1", 7000, false }, { "198.51.100.254", 7000, false },
		{ "198.51.100.1", 7001, false }, { "198.51.100.77", 53, false },
		{ "2001:db8::1", 7000, true },   { "2001:db8::ffff", 7000, true },
		{ "2001:db8::1", 7001, true },   { "2001:db8::77", 53, true },
	};
	unsigned n = 0;

	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		char answered[32];

		if (asked[i].ipv6 ? !ipv6 : !ipv4)
			continue;
		ask(asked[i].ip, asked[i].port);
		snprintf(answered, sizeof(answered), "answered %u\n", ++n);
		process_wait_output(p, answered);
	}
}

static void serve_by(void **state, const char *receive, const char *send)
{
	static const char *const bound[] = { "127.0.0.1", "0.0.0.0", "::1", "::" };

	udp_dispatcher(state);
	for (size_t i = 0; i < sizeof(bound) / sizeof(bound[0]); i++) {
		struct process *p =
			guest_start(&under_foo, "udp_echo", receive, send, bound[i], "7000", NULL);

		ask_each(p, i != 2, i >= 2);
		guest_said_nothing(p);
		process_stop(p, SIGKILL);
	}
}

static void recvfrom_and_sendto(void **state)
{
	serve_by(state, "recvfrom", "sendto");
}

static void recvmsg_and_sendmsg(void **state)
{
	serve_by(state, "recvmsg", "sendmsg");
}

static void recvmmsg_and_sendmmsg(void **state)
{
	serve_by(state, "recvmmsg", "sendmmsg");
}

static void recv_and_send(void **state)
{
	serve_by(state, "recv", "send");
}

static void read_and_write(void **state)
{
	serve_by(state, "read", "write");
}

static void readv_and_writev(void **state)
{
	serve_by(state, "readv", "writev");
}

static void server_may_move_its_socket(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;

	udp_dispatcher(state);
	p = guest_start(&under_foo, "udp_echo", "recvfrom", "sendto", "::", "7000", "moved", NULL);
	ask_each(p, true, true);
}

/* Clients of random addresses and ports, some of them at once. */
static void ask_by_many(void)
{
	static int clients[MANY];

	for (unsigned i = 0; i < MANY; i++) {
		char ip[32];

		snprintf(ip, sizeof(ip), "198.51.100.%u", 1 + i * 7919 % 254);
		clients[i] = client(ip, (uint16_t)(1 + i * 104729 % 65535));
	}
	for (unsigned i = 0; i < MANY; i += BURST) {
		for (unsigned j = i; j < i + BURST; j++)
			assert_int_equal(send(clients[j], "text", 4, 0), 4);
		for (unsigned j = i; j < i + BURST; j++)
			assert_answered(clients[j], "one of many");
	}
	for (unsigned i = 0; i < MANY; i++)
		close(clients[i]);
}

static void each_of_many_clients_is_answered(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;

	udp_dispatcher(state);
	p = guest_start(&under_foo, "udp_echo", "recvmmsg", "sendmmsg", "0.0.0.0", "7000", NULL);
	ask_by_many();
	guest_said_nothing(p);
}

static void serve_by_workers(void **state, const char *kind)
{
	CLEANUP(process_stopp) struct process *p = NULL;

	udp_dispatcher(state);
	p = guest_start(&under_foo, "udp_workers", kind, "::", "7000", NULL);
	ask_by_many();
	guest_said_nothing(p);
}

static void threads_answer(void **state)
{
	serve_by_workers(state, "threads");
}

static void forked_workers_answer(void **state)
{
	serve_by_workers(state, "processes");
}

static void signal_handler_answers(void **state)
{
	serve_by_workers(state, "signals");
}

static void binding_that_has_gone_is_in_nobodys_way(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int other = -1;
	CLEANUP_FD int fd = -1;

	udp_dispatcher(state);
	p = guest_start(&under_foo, "udp_echo", "recvfrom", "sendto", "0.0.0.0", "7000", NULL);
	ask("198.51.100.5", 7001);
	loader_ok("unbind", "foo", "udp", "198.51.100.0/24", "0", NULL);
	other = udp_bind("198.51.100.5", 7001);
	assert_return_code(other, -other);
	fd = client("198.51.100.5", 7001);
	assert_int_equal(send(fd, "text", 4, 0), 4);
	assert_true(net_readable(other, NET_TIMEOUT_MS));
}

/* What a client that is not connected sees: the answer's source. */
static void answer_comes_from(int fd, const char *asked, uint16_t port, const char *expected,
			      uint16_t expected_port)
{
	struct sockaddr_storage to, from = { 0 }, want;
	socklen_t len = net_address(asked, port, &to), from_len = sizeof(from);
	char answer[16];

	net_address(expected, expected_port, &want);
	assert_int_equal(sendto(fd, "text", 4, 0, (struct sockaddr *)&to, len), 4);
	assert_true(net_readable(fd, NET_TIMEOUT_MS));
	assert_int_equal(
		recvfrom(fd, answer, sizeof(answer), 0, (struct sockaddr *)&from, &from_len), 4);
	assert_memory_equal(&from, &want, len);
}

static void server_that_picks_its_source_is_left_alone(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int fd = -1;

	udp_dispatcher(state);
	p = guest_start(&under_foo, "echo", "0.0.0.0", "7000", "198.51.100.99", NULL);
	fd = udp_bind("127.0.0.1", 0); /* not bound itself */
	answer_comes_from(fd, "198.51.100.5", 7000, "198.51.100.99", 7000);
	answer_comes_from(fd, "198.51.100.5", 7001, "198.51.100.99", 7000);
}

static void another_socket_of_its_number_answers_from_itself(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int fd = -1;

	udp_dispatcher(state);
	p = guest_start(&(struct guest_options){ .env = { "ISOMER_RULES=foo=udp:*:7000" } },
			"udp_transfer", "7000", "7100", NULL);
	fd = udp_bind("127.0.0.1", 0);
	answer_comes_from(fd, "198.51.100.5", 7000, "127.0.0.1", 7100);
}

/* Without one an answer from another port cannot be sent, and is not sent from elsewhere. */
static void lack_of_descriptors_is_said(void **state)
{
	const struct rlimit used_up = { .rlim_cur = 4, .rlim_max = 4 };
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int fd = -1;

	udp_dispatcher(state);
	p = guest_start(&under_foo, "udp_echo", "recvfrom", "sendto", "0.0.0.0", "7000", NULL);
	assert_return_code(prlimit(process_pid(p), RLIMIT_NOFILE, &used_up, NULL), errno);
	fd = client("198.51.100.5", 7001);
	assert_int_equal(send(fd, "text", 4, 0), 4);
	process_wait_output(p, "answered 1\n");
	assert_non_null(strstr(process_stderr(p), "No buffer space available"));
	assert_non_null(strstr(process_stderr(p), "cannot send an answer of udp 0.0.0.0:7000"));
	assert_false(net_readable(fd, 0));
	ask("198.51.100.5", 7000);
}

static void low_port_answers_by_the_registrar(void **state)
{
	const struct guest_options as_nobody = { .env = { "ISOMER_LABEL=foo" },
						 .uid = GUEST_NOBODY };
	struct process *p;

	if (!udp_dispatcher(state))
		registrar_start();
	loader_ok("grant", "foo", "nobody", NULL);
	for (int i = 0; i < 2; i++) {
		p = guest_start(&as_nobody, "udp_echo", "recvfrom", "sendto", i ? "::" : "0.0.0.0",
				"7000", NULL);
		ask("198.51.100.5", 53);
		if (i)
			ask("2001:db8::5", 53);
		guest_said_nothing(p);
		process_stop(p, SIGKILL);
	}
}

/* Nor is it where the port is below 1024, the server not root, and no registrar there. */
static void lack_of_rights_is_said(void **state)
{
	const struct guest_options as_nobody = { .env = { "ISOMER_LABEL=foo" },
						 .uid = GUEST_NOBODY };
	CLEANUP(process_stopp) struct process *registrar = udp_dispatcher(state), *p = NULL;
	CLEANUP_FD int fd = -1;

	loader_ok("grant", "foo", "nobody", NULL);
	p = guest_start(&as_nobody, "udp_echo", "recvfrom", "sendto", "0.0.0.0", "7000", NULL);
	process_stopp(&registrar);
	fd = client("198.51.100.5", 53);
	assert_int_equal(send(fd, "text", 4, 0), 4);
	process_wait_output(p, "answered 1\n");
	assert_non_null(strstr(process_stderr(p), "No route to host"));
	assert_non_null(strstr(process_stderr(p), "no registrar is at"));
	assert_false(net_readable(fd, 0));
	ask("198.51.100.5", 7001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(recvfrom_and_sendto),
		netns_test(recvmsg_and_sendmsg),
		netns_test(recvmmsg_and_sendmmsg),
		netns_test(recv_and_send),
		netns_test(read_and_write),
		netns_test(readv_and_writev),
		netns_test(server_may_move_its_socket),
		netns_test(each_of_many_clients_is_answered),
		netns_test(server_that_picks_its_source_is_left_alone),
		netns_test(another_socket_of_its_number_answers_from_itself),
		netns_test(threads_answer),
		netns_test(forked_workers_answer),
		netns_test(signal_handler_answers),
		netns_test(binding_that_has_gone_is_in_nobodys_way),
		netns_test(lack_of_descriptors_is_said),
		netns_test(low_port_answers_by_the_registrar),
		netns_test(lack_of_rights_is_said),
	};

	return cmocka_run_group_tests_name("UDP answers", tests, NULL, NULL);
}
