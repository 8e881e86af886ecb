/* SPDX-License-Identifier: BSD-3-Clause */
/* The registrar as clients see it that speak its protocol themselves: whom it lets register, and
 * what it hands out.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
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
#include "integration/registrar_client.h"
#include "state/cleanup.h"
#include "state/slots.h"
#include "support/net.h"
#include "support/netns.h"
#include "support/second_netns.h"

#define LEN(array) (sizeof(array) / sizeof(*(array)))

/* ---- who may ---- */

static char pin[512];

static void ask_kernel(void *arg)
{
	*(int *)arg = access(pin, R_OK | W_OK) == 0 ? 0 : -errno;
}

/* The kernel's own answer, and the registrar's. */
static void compare(const struct identity *who, int fd, mode_t mode)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_CHECK, AF_INET, IPPROTO_TCP);
	struct isomer_registrar_reply reply;
	static int *kernel;

	if (!kernel)
		kernel = identity_memory(sizeof(*kernel));
	identity_run(who, ask_kernel, kernel);
	reply = identity_ask(who, &q, fd);
	if (reply.error != *kernel)
		fail_msg("uid %u, gid %u, mode %o: the kernel says %s, the registrar %s", who->uid,
			 who->gid, mode, strerror(-*kernel), strerror(-reply.error));
	assert_int_equal(reply.uid, who->uid);
	if (reply.error)
		assert_int_equal(reply.stage, ISOMER_REGISTRAR_LABEL);
}

static void the_registrar_judges_as_the_kernel_does(void **state)
{
	static const struct {
		uid_t uid;
		gid_t gid;
		mode_t mode;
	} pins[] = {
		{ 0, 0, 0644 },       { 1000, 0, 0644 },    { 1000, 1000, 0664 },
		{ 0, 1000, 0664 },    { 1000, 1000, 0444 }, { 1000, 1000, 0060 },
		{ 1000, 1000, 0646 }, { 1000, 1000, 0626 }, { 0, 0, 0666 },
		{ 1000, 1000, 0606 }, { 0, 1000, 0624 },    { 1000, 1000, 0200 },
	};
	static gid_t many[100], one[] = { 1000 };
	const struct identity identities[] = {
		{ .uid = 0, .gid = 0 },
		{ .uid = 0, .gid = 1000 },
		{ .uid = 1000, .gid = 1000 },
		{ .uid = 1000, .gid = 1001 },
		{ .uid = 1001, .gid = 1000 },
		{ .uid = 1001, .gid = 1001 },
		{ .uid = 1001, .gid = 1001, .groups = one, .n_groups = LEN(one) },
		{ .uid = 1001, .gid = 1001, .groups = many, .n_groups = LEN(many) },
		{ .uid = 1001, .gid = 0 },
		{ .uid = 1000, .gid = 1000, .user_namespace = true },
		{ .uid = 1001, .gid = 1000, .user_namespace = true },
		{ .uid = 1001, .gid = 1001, .user_namespace = true },
	};
	struct netns_fixture *ns = registrar_with_dispatcher(state);
	CLEANUP_FD int fd = tcp_listen("127.0.0.1", 8080);

	for (size_t i = 0; i < LEN(many); i++)
		many[i] = (gid_t)(901 + i); /* to 1000 */
	snprintf(pin, sizeof(pin), "%s/labels/foo/ipv4-tcp", ns->state_dir);
	for (size_t p = 0; p < LEN(pins); p++) {
		assert_return_code(chown(pin, pins[p].uid, pins[p].gid), errno);
		assert_return_code(chmod(pin, pins[p].mode), errno);
		for (size_t i = 0; i < LEN(identities); i++)
			compare(&identities[i], fd, pins[p].mode);
	}
}

/* What the folders let others see is another matter. */
static void a_grant_counts_where_the_state_is_out_of_sight(void **state)
{
	struct netns_fixture *ns = registrar_with_dispatcher(state);
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_REGISTER, AF_INET, IPPROTO_TCP);
	CLEANUP_FD int fd = tcp_listen("127.0.0.1", 8080);
	struct isomer_registrar_reply reply;

	loader_ok("grant", "foo", "nobody", NULL);
	assert_return_code(chmod(ns->bpffs, 0700), errno);
	reply = identity_ask(&identity_nobody, &q, fd);
	registrar_done(&reply);
	assert_int_equal(reply.slot, 1);
	assert_int_equal(tcp_who_accepts("127.0.0.9", 4321, &fd, 1), 0);
}

static void who_has_no_grant_is_not_told_which_labels_there_are(void **state)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_CHECK, AF_INET, IPPROTO_TCP);
	struct isomer_registrar_reply known, unknown;
	CLEANUP_FD int fd = -1;

	(void)registrar_with_dispatcher(state);
	fd = tcp_listen("127.0.0.1", 8080);
	known = identity_ask(&identity_nobody, &q, fd);
	memcpy(q.label, "bar", sizeof("bar"));
	unknown = identity_ask(&identity_nobody, &q, fd);
	registrar_failed(&known, ISOMER_REGISTRAR_LABEL, -EACCES);
	assert_memory_equal(&known, &unknown, sizeof(known));
	unknown = registrar_ask(&q, fd, NULL);
	registrar_failed(&unknown, ISOMER_REGISTRAR_LABEL, -ENOENT);
}

static void a_revoked_grant_counts_no_more(void **state)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_REGISTER, AF_INET, IPPROTO_TCP);
	struct isomer_registrar_reply reply;
	CLEANUP_FD int fd = -1;

	(void)registrar_with_dispatcher(state);
	fd = tcp_listen("127.0.0.1", 8080);
	loader_ok("grant", "foo", "nobody", NULL);
	loader_ok("revoke", "foo", NULL);
	reply = identity_ask(&identity_nobody, &q, fd);
	registrar_failed(&reply, ISOMER_REGISTRAR_LABEL, -EACCES);
	assert_int_equal(tcp_who_accepts("127.0.0.9", 4321, &fd, 1), -ECONNREFUSED);
}

/* By whatever way the kernel leaves him: before Linux 5.19 there is this one alone. */
static void a_server_of_a_user_with_a_grant_gets_the_traffic(void **state)
{
	struct process *p;

	(void)registrar_with_dispatcher(state);
	loader_ok("grant", "foo", "nobody", NULL);
	p = guest_start(&(struct guest_options){ .env = { "ISOMER_LABEL=foo" }, .uid = NOBODY },
			"server", "tcp,127.0.0.1,8080", NULL);
	guest_serves("127.0.0.9", 4321, "guest");
	guest_said_nothing(p);
	process_stop(p, SIGTERM);
}

/* ---- which sockets ---- */

static void only_a_socket_that_serves_the_destination_is_registered(void **state)
{
	CLEANUP_FD int listener = -1, bound = -1, udp = -1, pair = -1, pipe_end = -1, other = -1;
	struct isomer_registrar_reply r;
	int ends[2];

	(void)registrar_with_dispatcher(state);
	listener = tcp_listen("127.0.0.1", 8080);
	bound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	udp = udp_bind("127.0.0.1", 8080);
	assert_return_code(pipe2(ends, O_CLOEXEC), errno);
	pipe_end = ends[0];
	close(ends[1]);
	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), errno);
	pair = ends[0];
	other = ends[1];

	r = registrar_register(AF_INET, IPPROTO_TCP, bound);
	registrar_failed(&r, ISOMER_REGISTRAR_SOCKET, -EINVAL);
	r = registrar_register(AF_INET6, IPPROTO_TCP, listener);
	registrar_failed(&r, ISOMER_REGISTRAR_SOCKET, -EPROTOTYPE);
	r = registrar_register(AF_INET, IPPROTO_TCP, udp);
	registrar_failed(&r, ISOMER_REGISTRAR_SOCKET, -EPROTOTYPE);
	r = registrar_register(AF_INET, IPPROTO_UDP, listener);
	registrar_failed(&r, ISOMER_REGISTRAR_SOCKET, -EPROTOTYPE);
	r = registrar_register(AF_INET, IPPROTO_TCP, pipe_end);
	registrar_failed(&r, ISOMER_REGISTRAR_SOCKET, -ENOTSOCK);
	r = registrar_register(AF_INET, IPPROTO_TCP, pair);
	registrar_failed(&r, ISOMER_REGISTRAR_SOCKET, -EAFNOSUPPORT);
	assert_int_equal(tcp_who_accepts("127.0.0.9", 4321, &listener, 1), -ECONNREFUSED);

	r = registrar_register(AF_INET, IPPROTO_TCP, listener);
	registrar_done(&r);
	assert_int_equal(r.slot, 1);
	assert_int_equal(tcp_who_accepts("127.0.0.9", 4321, &listener, 1), 0);
	r = registrar_register(AF_INET, IPPROTO_TCP, listener);
	registrar_done(&r);
	assert_int_equal(r.slot, -1); /* it sat there already */
}

static void a_check_shows_who_sits_in_the_slots(void **state)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_CHECK, AF_INET, IPPROTO_TCP);
	CLEANUP_FD int first = -1, second = -1, unbound = -1;
	struct isomer_registrar_reply r;

	(void)registrar_with_dispatcher(state);
	first = tcp_listen("127.0.0.1", 8080);
	second = tcp_listen("127.0.0.1", 8081);
	unbound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r = registrar_register(AF_INET, IPPROTO_TCP, first);
	registrar_done(&r);
	r = registrar_register(AF_INET, IPPROTO_TCP, second);
	registrar_done(&r);
	r = registrar_ask(&q, unbound, NULL);
	registrar_done(&r);
	assert_int_equal(r.slots[0], net_cookie(second));
	assert_int_equal(r.slots[1], net_cookie(first));
	assert_int_equal(r.slots[2], net_cookie(second));
	assert_int_equal(r.slots[3], 0);
}

static void a_standby_is_not_put_before_who_serves(void **state)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_REGISTER, AF_INET, IPPROTO_UDP);
	CLEANUP_FD int first = -1, second = -1;
	struct isomer_registrar_reply r;

	(void)registrar_with_dispatcher(state);
	first = udp_bind("127.0.0.1", 1053);
	second = udp_bind("127.0.0.1", 1054);
	r = registrar_register(AF_INET, IPPROTO_UDP, first);
	registrar_done(&r);
	q.standby = 1;
	r = registrar_ask(&q, second, NULL);
	registrar_done(&r);
	assert_int_equal(r.slot, 2);
	assert_int_equal(udp_who_receives("127.0.0.9", 53, (int[]){ first, second }, 2), 0);
}

static void sockets_of_every_namespace_with_a_dispatcher_are_served(void **state)
{
	struct netns_fixture *ns = registrar_with_dispatcher(state);
	CLEANUP_FD int here = tcp_listen("127.0.0.1", 8080), there = -1;
	struct isomer_registrar_reply r;
	struct second_netns s;

	second_netns_make(ns, &s);
	THERE(&s, there = tcp_listen("127.0.0.1", 8080));
	r = registrar_register(AF_INET, IPPROTO_TCP, there);
	registrar_failed(&r, ISOMER_REGISTRAR_STATE, -ENOENT);
	assert_int_equal(r.netns_inode, s.inode);

	loader_ok("--netns", s.path, "load", "--max-destinations", "64", NULL);
	loader_ok("--netns", s.path, "bind", "foo", "tcp", "127.0.0.0/8", "4321", NULL);
	r = registrar_register(AF_INET, IPPROTO_TCP, there);
	registrar_done(&r);
	THERE(&s, assert_int_equal(tcp_who_accepts("127.0.0.9", 4321, &there, 1), 0));
	assert_int_equal(tcp_who_accepts("127.0.0.9", 4321, &here, 1), -ECONNREFUSED);
	close(there);
	second_netns_done(&s);
}

/* As when the number of a namespace comes back: the state under it is of one that died. */
static void the_state_of_another_namespace_does_not_count(void **state)
{
	struct netns_fixture *ns = registrar_with_dispatcher(state);
	CLEANUP_FD int fd = tcp_listen("127.0.0.1", 8080);
	struct isomer_registrar_reply r;
	struct second_netns s;

	second_netns_make(ns, &s);
	loader_ok("unload", NULL);
	loader_ok("--netns", s.path, "load", "--max-destinations", "64", NULL);
	loader_ok("--netns", s.path, "bind", "foo", "tcp", "127.0.0.0/8", "4321", NULL);
	assert_return_code(rename(s.folder, ns->state_dir), errno);
	r = registrar_register(AF_INET, IPPROTO_TCP, fd);
	registrar_failed(&r, ISOMER_REGISTRAR_STATE, -ESTALE);
	THERE(&s, assert_int_equal(tcp_connect("127.0.0.9", 4321), -ECONNREFUSED));
	second_netns_done(&s);
}

static void without_a_dispatcher_it_says_so(void **state)
{
	struct netns_fixture *ns = registrar_with_dispatcher(state);
	CLEANUP_FD int fd = tcp_listen("127.0.0.1", 8080);
	struct isomer_registrar_reply r;

	loader_ok("unload", NULL);
	r = registrar_register(AF_INET, IPPROTO_TCP, fd);
	registrar_failed(&r, ISOMER_REGISTRAR_STATE, -ENOENT);
	assert_int_equal(r.netns_inode, ns->netns_inode);
}

/* ---- sockets to answer from ---- */

static struct isomer_registrar_request reply_request(const char *ip, uint16_t port)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_REPLY_SOCKET, AF_INET, IPPROTO_UDP);
	struct sockaddr_storage address;

	net_address(ip, port, &address);
	q.domain = (uint8_t)address.ss_family;
	q.port = port;
	if (q.domain == AF_INET)
		memcpy(q.addr, &((struct sockaddr_in *)&address)->sin_addr, 4);
	else
		memcpy(q.addr, &((struct sockaddr_in6 *)&address)->sin6_addr, 16);
	return q;
}

static void answers_from(int server, const char *ip)
{
	struct isomer_registrar_request q = reply_request(ip, 53);
	CLEANUP_FD int fd = -1, client = udp_bind(strchr(ip, ':') ? "::1" : "127.0.0.1", 9999);
	struct isomer_registrar_reply r = registrar_ask(&q, server, &fd);
	struct sockaddr_storage to, from;
	socklen_t len = sizeof(from), to_len;
	char byte;

	registrar_done(&r);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(getpeername(fd, (struct sockaddr *)&from, &len), -1);
	to_len = net_address(strchr(ip, ':') ? "::1" : "127.0.0.1", 9999, &to);
	assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, to_len), 1);
	assert_true(net_readable(client, NET_TIMEOUT_MS));
	len = sizeof(from);
	assert_int_equal(recvfrom(client, &byte, 1, 0, (struct sockaddr *)&from, &len), 1);
	to_len = net_address(ip, 53, &to);
	assert_int_equal(len, to_len);
	assert_memory_equal(&from, &to, len);
	/* What is sent there still gets to the server. */
	assert_int_equal(udp_who_receives(ip, 53, (int[]){ server, fd }, 2), 0);
}

static void a_server_answers_from_where_it_was_asked(void **state)
{
	CLEANUP_FD int server = -1;
	struct isomer_registrar_reply r;

	(void)registrar_with_dispatcher(state);
	server = udp_bind_dual(1053);
	r = registrar_register(AF_INET, IPPROTO_UDP, server);
	registrar_done(&r);
	r = registrar_register(AF_INET6, IPPROTO_UDP, server);
	registrar_done(&r);
	answers_from(server, "127.0.0.9");
	answers_from(server, "127.0.0.9"); /* two at a time are no matter, nor one after another */
	answers_from(server, "::1");
}

/* It may still have to answer to what it got when it was current. */
static void a_standby_answers_too(void **state)
{
	struct isomer_registrar_request q = reply_request("127.0.0.9", 53);
	CLEANUP_FD int standby = -1, current = -1, fd = -1;
	struct isomer_registrar_reply r;

	(void)registrar_with_dispatcher(state);
	standby = udp_bind("127.0.0.1", 1053);
	current = udp_bind("127.0.0.1", 1054);
	r = registrar_register(AF_INET, IPPROTO_UDP, standby);
	registrar_done(&r);
	r = registrar_register(AF_INET, IPPROTO_UDP, current);
	registrar_done(&r);
	r = registrar_ask(&q, standby, &fd);
	registrar_done(&r);
	assert_true(fd >= 0);
}

static void a_socket_to_answer_from_is_of_the_servers_namespace(void **state)
{
	struct netns_fixture *ns = registrar_with_dispatcher(state);
	struct isomer_registrar_request q = reply_request("127.0.0.9", 53);
	CLEANUP_FD int server = -1, fd = -1;
	struct isomer_registrar_reply r;
	struct second_netns s;

	second_netns_make(ns, &s);
	loader_ok("--netns", s.path, "load", "--max-destinations", "64", NULL);
	loader_ok("--netns", s.path, "bind", "foo", "udp", "127.0.0.0/8", "53", NULL);
	THERE(&s, server = udp_bind("127.0.0.1", 1053));
	r = registrar_register(AF_INET, IPPROTO_UDP, server);
	registrar_done(&r);
	r = registrar_ask(&q, server, &fd);
	registrar_done(&r);
	/* Nothing is bound there here. */
	assert_int_equal(udp_who_receives("127.0.0.9", 53, &fd, 1), -ECONNREFUSED);
	second_netns_done(&s);
}

static void refused_reply(const struct isomer_registrar_request *q, int server, int stage,
			  int error)
{
	CLEANUP_FD int fd = -1;
	struct isomer_registrar_reply r = registrar_ask(q, server, &fd);

	registrar_failed(&r, stage, error);
	assert_int_equal(fd, -1);
}

static void nobody_answers_from_what_is_not_bound_to_him(void **state)
{
	struct isomer_registrar_request q = reply_request("127.0.0.9", 53);
	CLEANUP_FD int server = -1, stranger = -1, rival = -1;
	struct isomer_registrar_reply r;

	(void)registrar_with_dispatcher(state);
	loader_ok("bind", "bar", "udp", "127.0.0.10", "53", NULL);
	server = udp_bind("127.0.0.1", 1053);
	stranger = udp_bind("127.0.0.1", 1054);
	r = registrar_register(AF_INET, IPPROTO_UDP, server);
	registrar_done(&r);

	refused_reply(&q, stranger, ISOMER_REGISTRAR_SLOTS, -ENOTCONN);
	r = identity_ask(&identity_nobody, &q, server);
	registrar_failed(&r, ISOMER_REGISTRAR_LABEL, -EACCES);
	q = reply_request("127.0.0.9", 54);
	refused_reply(&q, server, ISOMER_REGISTRAR_BINDING, -EPERM);
	q = reply_request("192.0.2.1", 53);
	refused_reply(&q, server, ISOMER_REGISTRAR_BINDING, -EPERM);
	q = reply_request("127.0.0.10", 53); /* a longer prefix leads to another label */
	refused_reply(&q, server, ISOMER_REGISTRAR_BINDING, -EPERM);
	q = reply_request("0.0.0.0", 53);
	refused_reply(&q, server, ISOMER_REGISTRAR_REQUEST, -EBADMSG);

	rival = udp_bind("127.0.0.11", 53);
	q = reply_request("127.0.0.11", 53);
	refused_reply(&q, server, ISOMER_REGISTRAR_ADDRESS, -EADDRINUSE);
}

/* docs/security.md: it outlives the binding. */
static void a_socket_to_answer_from_never_hears_anything(void **state)
{
	struct isomer_registrar_request q = reply_request("127.0.0.9", 53);
	CLEANUP_FD int server = -1, fd = -1;
	struct isomer_registrar_reply r;
	int none = 0;

	(void)registrar_with_dispatcher(state);
	server = udp_bind("127.0.0.1", 1053);
	r = registrar_register(AF_INET, IPPROTO_UDP, server);
	registrar_done(&r);
	r = registrar_ask(&q, server, &fd);
	registrar_done(&r);
	loader_ok("unbind", "foo", "udp", "127.0.0.0/8", "53", NULL);
	assert_int_equal(udp_who_receives("127.0.0.9", 53, (int[]){ server, fd }, 2), -ENOENT);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none)), -1);
	assert_int_equal(errno, EPERM);
	close(fd);
	fd = -1;
	assert_int_equal(udp_who_receives("127.0.0.9", 53, &server, 1), -ECONNREFUSED);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		netns_test(the_registrar_judges_as_the_kernel_does),
		netns_test(a_grant_counts_where_the_state_is_out_of_sight),
		netns_test(who_has_no_grant_is_not_told_which_labels_there_are),
		netns_test(a_revoked_grant_counts_no_more),
		netns_test(a_server_of_a_user_with_a_grant_gets_the_traffic),
		netns_test(only_a_socket_that_serves_the_destination_is_registered),
		netns_test(a_check_shows_who_sits_in_the_slots),
		netns_test(a_standby_is_not_put_before_who_serves),
		netns_test(sockets_of_every_namespace_with_a_dispatcher_are_served),
		netns_test(the_state_of_another_namespace_does_not_count),
		netns_test(without_a_dispatcher_it_says_so),
		netns_test(a_server_answers_from_where_it_was_asked),
		netns_test(a_standby_answers_too),
		netns_test(a_socket_to_answer_from_is_of_the_servers_namespace),
		netns_test(nobody_answers_from_what_is_not_bound_to_him),
		netns_test(a_socket_to_answer_from_never_hears_anything),
	};

	return cmocka_run_group_tests_name("registrar_protocol", tests, NULL, NULL);
}
