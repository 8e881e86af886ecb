/* SPDX-License-Identifier: BSD-3-Clause */
/* UDP servers under the library that receive and send in less usual ways, or have their sockets
 * from elsewhere: answers leave from the address and port that the client wrote to all the same.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "integration/registrar_client.h"
#include "integration/server.h"
#include "integration/udp_asked.h"
#include "state/cleanup.h"
#include "support/net.h"

static const struct guest_options under_foo = { .env = { "ISOMER_LABEL=foo" } };

/* With a grant to nobody, and a registrar, which binds low ports for him. */
static const struct guest_options as_nobody = { .env = { "ISOMER_LABEL=foo" },
						.uid = GUEST_NOBODY };

static void dispatcher_and_registrar(void **state)
{
	if (!udp_dispatcher(state))
		registrar_start();
	loader_ok("grant", "foo", "nobody", NULL);
}

static int client(const char *ip, uint16_t port)
{
	int fd = udp_connect(ip, port);

	assert_return_code(fd, -fd);
	return fd;
}

/* ---- control messages of the program's own ---- */

static void next_is(int fd, const char *text)
{
	char got[16] = "";

	assert_true(net_readable(fd, NET_TIMEOUT_MS));
	assert_return_code(recv(fd, got, sizeof(got) - 1, 0), errno);
	assert_string_equal(got, text);
}

static void ask_for_segments(const char *ip, uint16_t port)
{
	CLEANUP_FD int fd = client(ip, port);

	assert_int_equal(send(fd, "aabbc", 5, 0), 5);
	next_is(fd, "aa");
	next_is(fd, "bb");
	next_is(fd, "c");
}

/* One send of several datagrams (UDP_SEGMENT). */
static void segments_all_leave_from_there(void **state)
{
	static const char *const bound[] = { "0.0.0.0", "::" };

	dispatcher_and_registrar(state);
	for (size_t i = 0; i < sizeof(bound) / sizeof(bound[0]); i++) {
		struct process *p =
			guest_start(&as_nobody, "udp_control", "segments", bound[i], "7000", NULL);

		ask_for_segments("198.51.100.5", 7000);
		ask_for_segments("198.51.100.5", 7001);
		ask_for_segments("198.51.100.5", 53);
		if (i) {
			ask_for_segments("2001:db8::5", 7000);
			ask_for_segments("2001:db8::5", 7001);
			ask_for_segments("2001:db8::5", 53);
		}
		guest_said_nothing(p);
		assert_null(strstr(process_stdout(p), "sendmsg"));
		process_stop(p, SIGKILL);
	}
}

static void much_control_is_carried(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;

	udp_dispatcher(state);
	p = guest_start(&under_foo, "udp_control", "much", "0.0.0.0", "7000", NULL);
	udp_ask("198.51.100.5", 7000, "text");
	udp_ask("198.51.100.5", 7001, "text");
	guest_said_nothing(p);
}

/* As without the library: see the guest, which sends it nowhere else. */
static void more_control_than_the_kernel_takes_is_refused(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int fd = -1;

	udp_dispatcher(state);
	p = guest_start(&under_foo, "udp_control", "more", "0.0.0.0", "7000", NULL);
	fd = client("198.51.100.5", 7000);
	assert_int_equal(send(fd, "text", 4, 0), 4);
	process_wait_output(p, "sendmsg: ENOBUFS\n");
	assert_false(net_readable(fd, 0));
	guest_said_nothing(p);
}

/* Its socket for IPv4 is one of IPv4, which does not know such control messages. */
static void ipv6_server_answers_ipv4_by_the_registrar(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;

	dispatcher_and_registrar(state);
	p = guest_start(&as_nobody, "udp_control", "ipv6", "::", "7000", NULL);
	udp_ask("198.51.100.5", 53, "text");
	udp_ask("2001:db8::5", 53, "text");
	guest_said_nothing(p);
}

/* ---- how it was built, and runs ---- */

static void is_built_with_checks(void)
{
	static const char *const functions[] = { "__recv_chk", "__recvfrom_chk", "__read_chk" };

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		CLEANUP(command_done) struct command_result r = command_run(
			&(struct process_options){ .argv = (const char *const[]){
							   "grep", "-q", functions[i],
							   guest_path("udp_fortified"), NULL } });

		assert_int_equal(r.status, 0);
	}
}

static void fortified_server_answers(void **state)
{
	static const char *const calls[] = { "recv", "recvfrom", "read" };

	udp_dispatcher(state);
	is_built_with_checks();
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct process *p =
			guest_start(&under_foo, "udp_fortified", calls[i], "0.0.0.0", "7000", NULL);

		udp_ask("198.51.100.5", 7000, "text");
		udp_ask("198.51.100.5", 7001, "text");
		guest_said_nothing(p);
		/* It still ends when it asks for more than its buffer holds. */
		udp_ask("198.51.100.5", 7001, "more");
		guest_send("198.51.100.5", 7000, "text");
		assert_int_equal(process_wait(p), 128 + SIGABRT);
		assert_non_null(strstr(process_stderr(p), "buffer overflow detected"));
		process_stop(p, SIGKILL);
	}
}

/* Not where sanitizers make frames larger. */
static void smallest_stack_will_do(void **state)
{
#ifndef __SANITIZE_ADDRESS__
	static const char *const bound[] = { "0.0.0.0", "::" };

	udp_dispatcher(state);
	for (size_t i = 0; i < sizeof(bound) / sizeof(bound[0]); i++) {
		struct process *p = guest_start(&under_foo, "udp_stack", bound[i], "7000", NULL);

		udp_ask("198.51.100.5", 7000, "text");
		process_wait_output(p, "left ");
		udp_ask("198.51.100.5", 7001, "text");
		guest_said_nothing(p);
		process_stop(p, SIGKILL);
	}
#else
	(void)netns_or_skip(state);
#endif
}

static void cancelled_threads_leave_nothing(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;

	udp_dispatcher(state);
	p = guest_start(&under_foo, "udp_cancelled", "0.0.0.0", "7000", "198.51.100.5", "7001",
			NULL);
	assert_non_null(strstr(process_stdout(p), "200 cancelled, 0 descriptors left"));
	udp_ask("198.51.100.5", 7000, "text");
	udp_ask("198.51.100.5", 7001, "text");
	guest_said_nothing(p);
}

/* ---- sockets from elsewhere ---- */

/* Gets @socket as systemd would pass it. */
static struct process *start_activated(int socket)
{
	CLEANUP_FREE char *preload = NULL;
	struct process *p;

	assert_return_code(socket, -socket);
	assert_true(asprintf(&preload, "LD_PRELOAD=%s", preload_path()) > 0);
	p = process_start(&(struct process_options){
		.argv = (const char *const[]){ "sh", "-c", "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\"",
					       guest_path("udp_inherited"), NULL },
		.env = (const char *const[]){ preload, "ISOMER_LABEL=foo", NULL },
		.pass_fd = socket });
	close(socket);
	process_wait_output(p, "ready");
	return p;
}

static void activated_server_answers(void **state)
{
	struct process *p;

	udp_dispatcher(state);
	p = start_activated(udp_bind("0.0.0.0", 7000));
	udp_ask("198.51.100.5", 7000, "text");
	udp_ask("198.51.100.5", 7001, "text");
	process_stop(p, SIGKILL);

	p = start_activated(udp_bind_dual(7000));
	udp_ask("198.51.100.5", 7001, "text");
	udp_ask("2001:db8::5", 7000, "text");
	udp_ask("2001:db8::5", 7001, "text");
	process_stop(p, SIGKILL);
}

/* A limit, which docs/servers.md names: the library sees no call by which it came. */
static void socket_that_nothing_names_answers_as_without(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	struct guest_options options = under_foo;
	CLEANUP_FD int fd = -1;
	struct sockaddr_storage to, from, expected;
	socklen_t len = net_address("198.51.100.5", 7000, &to), from_len = sizeof(from);
	char text[16];

	udp_dispatcher(state);
	fd = udp_bind("127.0.0.1", 0);
	options.pass_fd = udp_bind("0.0.0.0", 7000);
	p = guest_start(&options, "udp_inherited", NULL);
	close(options.pass_fd);
	snprintf(text, sizeof(text), "%d", (int)process_pid(p));
	loader_ok("register-pid", text, "foo", "udp", "0.0.0.0", "7000", NULL);
	assert_int_equal(sendto(fd, "text", 4, 0, (struct sockaddr *)&to, len), 4);
	assert_true(net_readable(fd, NET_TIMEOUT_MS));
	assert_int_equal(recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&from, &from_len),
			 4);
	len = net_address("127.0.0.1", 7000, &expected);
	assert_memory_equal(&from, &expected, len);
	guest_said_nothing(p);
}

/* What it opens to answer from another port would be in the wrong one. */
static void server_that_leaves_the_namespace_answers_by_the_registrar(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;

	if (!udp_dispatcher(state))
		registrar_start();
	p = guest_start(&under_foo, "udp_elsewhere", "0.0.0.0", "7000", NULL);
	udp_ask("198.51.100.5", 7000, "text");
	udp_ask("198.51.100.5", 7001, "text");
	guest_said_nothing(p);
}

static void without_one_it_says_so(void **state)
{
	CLEANUP(process_stopp) struct process *registrar = udp_dispatcher(state), *p = NULL;
	CLEANUP_FD int fd = -1;

	p = guest_start(&under_foo, "udp_elsewhere", "0.0.0.0", "7000", NULL);
	process_stopp(&registrar);
	fd = client("198.51.100.5", 7001);
	assert_int_equal(send(fd, "text", 4, 0), 4);
	process_wait_output(p, "answered");
	assert_non_null(strstr(process_stderr(p), "sendto: No route to host"));
	guest_said(p, "cannot send an answer of udp 0.0.0.0:7000");
	assert_false(net_readable(fd, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(segments_all_leave_from_there),
		netns_test(much_control_is_carried),
		netns_test(more_control_than_the_kernel_takes_is_refused),
		netns_test(ipv6_server_answers_ipv4_by_the_registrar),
		netns_test(fortified_server_answers),
		netns_test(smallest_stack_will_do),
		netns_test(cancelled_threads_leave_nothing),
		netns_test(activated_server_answers),
		netns_test(socket_that_nothing_names_answers_as_without),
		netns_test(server_that_leaves_the_namespace_answers_by_the_registrar),
		netns_test(without_one_it_says_so),
	};

	return cmocka_run_group_tests_name("UDP servers of all sorts", tests, NULL, NULL);
}
