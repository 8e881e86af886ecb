/* SPDX-License-Identifier: BSD-3-Clause */
/* The registrar as clients see it that speak its protocol themselves: whom it lets register, what
 * it hands out, and what the worst of them can do to the others.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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
#define NOBODY     65534

static const struct identity nobody = { .uid = NOBODY, .gid = NOBODY };

static void failed(const struct isomer_registrar_reply *reply, int stage, int error)
{
	if (reply->stage != stage || reply->error != error)
		fail_msg("stage %u, %s, but expected stage %d, %s", reply->stage,
			 strerror(-reply->error), stage, strerror(-error));
}

static void done(const struct isomer_registrar_reply *reply)
{
	failed(reply, ISOMER_REGISTRAR_DONE, 0);
	assert_int_equal(reply->magic, ISOMER_REGISTRAR_MAGIC);
	assert_int_equal(reply->version, ISOMER_REGISTRAR_VERSION);
}

/* A dispatcher whose label "foo" gets 127.0.0.0/8, port 4321 of TCP and port 53 of UDP, and ::1. */
static struct netns_fixture *dispatcher_with_registrar(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	loader_ok("load", "--max-destinations", "64", NULL);
	loader_ok("bind", "foo", "tcp", "127.0.0.0/8", "4321", NULL);
	loader_ok("bind", "foo", "udp", "127.0.0.0/8", "53", NULL);
	loader_ok("bind", "foo", "udp", "::1", "53", NULL);
	registrar_start();
	return ns;
}

static struct isomer_registrar_reply register_socket(uint8_t domain, uint8_t protocol, int fd)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_REGISTER, domain, protocol);

	return registrar_ask(&q, fd, NULL);
}

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
	struct netns_fixture *ns = dispatcher_with_registrar(state);
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
	struct netns_fixture *ns = dispatcher_with_registrar(state);
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_REGISTER, AF_INET, IPPROTO_TCP);
	CLEANUP_FD int fd = tcp_listen("127.0.0.1", 8080);
	struct isomer_registrar_reply reply;

	loader_ok("grant", "foo", "nobody", NULL);
	assert_return_code(chmod(ns->bpffs, 0700), errno);
	reply = identity_ask(&nobody, &q, fd);
	done(&reply);
	assert_int_equal(reply.slot, 1);
	assert_int_equal(tcp_who_accepts("127.0.0.9", 4321, &fd, 1), 0);
}

static void who_has_no_grant_is_not_told_which_labels_there_are(void **state)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_CHECK, AF_INET, IPPROTO_TCP);
	struct isomer_registrar_reply known, unknown;
	CLEANUP_FD int fd = -1;

	(void)dispatcher_with_registrar(state);
	fd = tcp_listen("127.0.0.1", 8080);
	known = identity_ask(&nobody, &q, fd);
	memcpy(q.label, "bar", sizeof("bar"));
	unknown = identity_ask(&nobody, &q, fd);
	failed(&known, ISOMER_REGISTRAR_LABEL, -EACCES);
	assert_memory_equal(&known, &unknown, sizeof(known));
	unknown = registrar_ask(&q, fd, NULL);
	failed(&unknown, ISOMER_REGISTRAR_LABEL, -ENOENT);
}

static void a_revoked_grant_counts_no_more(void **state)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_REGISTER, AF_INET, IPPROTO_TCP);
	struct isomer_registrar_reply reply;
	CLEANUP_FD int fd = -1;

	(void)dispatcher_with_registrar(state);
	fd = tcp_listen("127.0.0.1", 8080);
	loader_ok("grant", "foo", "nobody", NULL);
	loader_ok("revoke", "foo", NULL);
	reply = identity_ask(&nobody, &q, fd);
	failed(&reply, ISOMER_REGISTRAR_LABEL, -EACCES);
	assert_int_equal(tcp_who_accepts("127.0.0.9", 4321, &fd, 1), -ECONNREFUSED);
}

/* By whatever way the kernel leaves him: before Linux 5.19 there is this one alone. */
static void a_server_of_a_user_with_a_grant_gets_the_traffic(void **state)
{
	struct process *p;

	(void)dispatcher_with_registrar(state);
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

	(void)dispatcher_with_registrar(state);
	listener = tcp_listen("127.0.0.1", 8080);
	bound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	udp = udp_bind("127.0.0.1", 8080);
	assert_return_code(pipe2(ends, O_CLOEXEC), errno);
	pipe_end = ends[0];
	close(ends[1]);
	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), errno);
	pair = ends[0];
	other = ends[1];

	r = register_socket(AF_INET, IPPROTO_TCP, bound);
	failed(&r, ISOMER_REGISTRAR_SOCKET, -EINVAL);
	r = register_socket(AF_INET6, IPPROTO_TCP, listener);
	failed(&r, ISOMER_REGISTRAR_SOCKET, -EPROTOTYPE);
	r = register_socket(AF_INET, IPPROTO_TCP, udp);
	failed(&r, ISOMER_REGISTRAR_SOCKET, -EPROTOTYPE);
	r = register_socket(AF_INET, IPPROTO_UDP, listener);
	failed(&r, ISOMER_REGISTRAR_SOCKET, -EPROTOTYPE);
	r = register_socket(AF_INET, IPPROTO_TCP, pipe_end);
	failed(&r, ISOMER_REGISTRAR_SOCKET, -ENOTSOCK);
	r = register_socket(AF_INET, IPPROTO_TCP, pair);
	failed(&r, ISOMER_REGISTRAR_SOCKET, -EAFNOSUPPORT);
	assert_int_equal(tcp_who_accepts("127.0.0.9", 4321, &listener, 1), -ECONNREFUSED);

	r = register_socket(AF_INET, IPPROTO_TCP, listener);
	done(&r);
	assert_int_equal(r.slot, 1);
	assert_int_equal(tcp_who_accepts("127.0.0.9", 4321, &listener, 1), 0);
	r = register_socket(AF_INET, IPPROTO_TCP, listener);
	done(&r);
	assert_int_equal(r.slot, -1); /* it sat there already */
}

static void a_check_shows_who_sits_in_the_slots(void **state)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_CHECK, AF_INET, IPPROTO_TCP);
	CLEANUP_FD int first = -1, second = -1, unbound = -1;
	struct isomer_registrar_reply r;

	(void)dispatcher_with_registrar(state);
	first = tcp_listen("127.0.0.1", 8080);
	second = tcp_listen("127.0.0.1", 8081);
	unbound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r = register_socket(AF_INET, IPPROTO_TCP, first);
	done(&r);
	r = register_socket(AF_INET, IPPROTO_TCP, second);
	done(&r);
	r = registrar_ask(&q, unbound, NULL);
	done(&r);
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

	(void)dispatcher_with_registrar(state);
	first = udp_bind("127.0.0.1", 1053);
	second = udp_bind("127.0.0.1", 1054);
	r = register_socket(AF_INET, IPPROTO_UDP, first);
	done(&r);
	q.standby = 1;
	r = registrar_ask(&q, second, NULL);
	done(&r);
	assert_int_equal(r.slot, 2);
	assert_int_equal(udp_who_receives("127.0.0.9", 53, (int[]){ first, second }, 2), 0);
}

static void sockets_of_every_namespace_with_a_dispatcher_are_served(void **state)
{
	struct netns_fixture *ns = dispatcher_with_registrar(state);
	CLEANUP_FD int here = tcp_listen("127.0.0.1", 8080), there = -1;
	struct isomer_registrar_reply r;
	struct second_netns s;

	second_netns_make(ns, &s);
	THERE(&s, there = tcp_listen("127.0.0.1", 8080));
	r = register_socket(AF_INET, IPPROTO_TCP, there);
	failed(&r, ISOMER_REGISTRAR_STATE, -ENOENT);
	assert_int_equal(r.netns_inode, s.inode);

	loader_ok("--netns", s.path, "load", "--max-destinations", "64", NULL);
	loader_ok("--netns", s.path, "bind", "foo", "tcp", "127.0.0.0/8", "4321", NULL);
	r = register_socket(AF_INET, IPPROTO_TCP, there);
	done(&r);
	THERE(&s, assert_int_equal(tcp_who_accepts("127.0.0.9", 4321, &there, 1), 0));
	assert_int_equal(tcp_who_accepts("127.0.0.9", 4321, &here, 1), -ECONNREFUSED);
	close(there);
	second_netns_done(&s);
}

static void without_a_dispatcher_it_says_so(void **state)
{
	struct netns_fixture *ns = dispatcher_with_registrar(state);
	CLEANUP_FD int fd = tcp_listen("127.0.0.1", 8080);
	struct isomer_registrar_reply r;

	loader_ok("unload", NULL);
	r = register_socket(AF_INET, IPPROTO_TCP, fd);
	failed(&r, ISOMER_REGISTRAR_STATE, -ENOENT);
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

	done(&r);
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

	(void)dispatcher_with_registrar(state);
	server = udp_bind_dual(1053);
	r = register_socket(AF_INET, IPPROTO_UDP, server);
	done(&r);
	r = register_socket(AF_INET6, IPPROTO_UDP, server);
	done(&r);
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

	(void)dispatcher_with_registrar(state);
	standby = udp_bind("127.0.0.1", 1053);
	current = udp_bind("127.0.0.1", 1054);
	r = register_socket(AF_INET, IPPROTO_UDP, standby);
	done(&r);
	r = register_socket(AF_INET, IPPROTO_UDP, current);
	done(&r);
	r = registrar_ask(&q, standby, &fd);
	done(&r);
	assert_true(fd >= 0);
}

static void a_socket_to_answer_from_is_of_the_servers_namespace(void **state)
{
	struct netns_fixture *ns = dispatcher_with_registrar(state);
	struct isomer_registrar_request q = reply_request("127.0.0.9", 53);
	CLEANUP_FD int server = -1, fd = -1;
	struct isomer_registrar_reply r;
	struct second_netns s;

	second_netns_make(ns, &s);
	loader_ok("--netns", s.path, "load", "--max-destinations", "64", NULL);
	loader_ok("--netns", s.path, "bind", "foo", "udp", "127.0.0.0/8", "53", NULL);
	THERE(&s, server = udp_bind("127.0.0.1", 1053));
	r = register_socket(AF_INET, IPPROTO_UDP, server);
	done(&r);
	r = registrar_ask(&q, server, &fd);
	done(&r);
	/* Nothing is bound there here. */
	assert_int_equal(udp_who_receives("127.0.0.9", 53, &fd, 1), -ECONNREFUSED);
	second_netns_done(&s);
}

static void refused_reply(const struct isomer_registrar_request *q, int server, int stage,
			  int error)
{
	CLEANUP_FD int fd = -1;
	struct isomer_registrar_reply r = registrar_ask(q, server, &fd);

	failed(&r, stage, error);
	assert_int_equal(fd, -1);
}

static void nobody_answers_from_what_is_not_bound_to_him(void **state)
{
	struct isomer_registrar_request q = reply_request("127.0.0.9", 53);
	CLEANUP_FD int server = -1, stranger = -1, rival = -1;
	struct isomer_registrar_reply r;

	(void)dispatcher_with_registrar(state);
	loader_ok("bind", "bar", "udp", "127.0.0.10", "53", NULL);
	server = udp_bind("127.0.0.1", 1053);
	stranger = udp_bind("127.0.0.1", 1054);
	r = register_socket(AF_INET, IPPROTO_UDP, server);
	done(&r);

	refused_reply(&q, stranger, ISOMER_REGISTRAR_SLOTS, -ENOTCONN);
	r = identity_ask(&nobody, &q, server);
	failed(&r, ISOMER_REGISTRAR_LABEL, -EACCES);
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

	(void)dispatcher_with_registrar(state);
	server = udp_bind("127.0.0.1", 1053);
	r = register_socket(AF_INET, IPPROTO_UDP, server);
	done(&r);
	r = registrar_ask(&q, server, &fd);
	done(&r);
	loader_ok("unbind", "foo", "udp", "127.0.0.0/8", "53", NULL);
	assert_int_equal(udp_who_receives("127.0.0.9", 53, (int[]){ server, fd }, 2), -ENOENT);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none)), -1);
	assert_int_equal(errno, EPERM);
	close(fd);
	fd = -1;
	assert_int_equal(udp_who_receives("127.0.0.9", 53, &server, 1), -ECONNREFUSED);
}

/* ---- what the worst of clients can do ---- */

/* Sends it and says how it is answered. */
static void answered(const void *bytes, size_t size, const int *fds, size_t n, int error)
{
	CLEANUP_FD int connection = registrar_connect();
	struct isomer_registrar_reply r;

	assert_return_code(connection, -connection);
	assert_int_equal(registrar_send_raw(connection, bytes, size, fds, n), 0);
	assert_int_equal(registrar_receive_raw(connection, &r, NULL), 0);
	failed(&r, ISOMER_REGISTRAR_REQUEST, error);
}

static void a_malformed_request_is_told_so_and_changes_nothing(void **state)
{
	const struct isomer_registrar_request good =
		registrar_request(ISOMER_REGISTRAR_REGISTER, AF_INET, IPPROTO_TCP);
	struct isomer_registrar_request bad[14];
	char longer[sizeof(good) + 1] = { 0 };
	CLEANUP_FD int fd = -1;
	int many[253];

	(void)dispatcher_with_registrar(state);
	fd = tcp_listen("127.0.0.1", 8080);
	for (size_t i = 0; i < LEN(many); i++)
		many[i] = fd;
	for (size_t i = 0; i < LEN(bad); i++)
		bad[i] = good;
	bad[0].magic++;
	bad[1].version++;
	bad[2].type = 0;
	bad[3].type = 99;
	bad[4].domain = AF_UNIX;
	bad[5].protocol = IPPROTO_SCTP;
	bad[6].standby = 2;
	bad[7].reserved = 1;
	bad[8].port = 1;
	bad[9].addr[15] = 1;
	memset(bad[10].label, 'a', sizeof(bad[10].label));
	bad[11].label[sizeof(bad[11].label) - 1] = 'a';
	memcpy(bad[12].label, "../foo", sizeof("../foo"));
	bad[13].label[0] = '\0';
	for (size_t i = 0; i < LEN(bad); i++)
		answered(&bad[i], sizeof(bad[i]), &fd, 1, i < 4 ? -EPROTO : -EBADMSG);

	memcpy(longer, &good, sizeof(good));
	answered(longer, sizeof(longer), &fd, 1, -EBADMSG);
	answered(&good, sizeof(good) - 1, &fd, 1, -EBADMSG);
	answered(&good, 1, &fd, 1, -EBADMSG);
	answered(&good, sizeof(good), NULL, 0, -EBADMSG);
	answered(&good, sizeof(good), many, 2, -EBADMSG);
	answered(&good, sizeof(good), many, LEN(many), -EBADMSG);
	answered(&good, 0, &fd, 1, -EBADMSG);
	assert_int_equal(tcp_who_accepts("127.0.0.9", 4321, &fd, 1), -ECONNREFUSED);
}

static void a_client_may_go_at_any_time(void **state)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_REGISTER, AF_INET, IPPROTO_TCP);
	CLEANUP_FD int fd = -1;
	struct isomer_registrar_reply r;

	(void)dispatcher_with_registrar(state);
	fd = tcp_listen("127.0.0.1", 8080);
	for (int i = 0; i < 100; i++) {
		CLEANUP_FD int connection = registrar_connect();

		assert_return_code(connection, -connection);
		if (i % 2)
			assert_int_equal(registrar_send_raw(connection, &q, sizeof(q), &fd, 1), 0);
	}
	do /* some of these may be under way */
		r = register_socket(AF_INET, IPPROTO_TCP, fd);
	while (r.error == -EBUSY);
	done(&r);
}

/* Of one user who asks nothing, and is asked for nothing. */
#define SILENT 300

static void a_flood_of_one_user_does_not_keep_another_waiting(void **state)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_REGISTER, AF_INET, IPPROTO_TCP);
	struct isomer_registrar_reply r;
	int silent[SILENT], refused = 0;
	CLEANUP_FD int fd = -1;

	(void)dispatcher_with_registrar(state);
	fd = tcp_listen("127.0.0.1", 8080);
	loader_ok("grant", "foo", "nobody", NULL);
	for (int i = 0; i < SILENT; i++) {
		silent[i] = registrar_connect();
		assert_return_code(silent[i], -silent[i]);
	}
	r = identity_ask(&nobody, &q, fd);
	done(&r);
	/* Each hears something, or at least the end: the oldest of them where there was no room for
	 * more, and how many that are depends on how fast the others were refused. */
	for (int i = 0; i < SILENT; i++) {
		int got = registrar_receive_raw(silent[i], &r, NULL);

		assert_true(got == 0 || got == -ENODATA);
		refused += got == 0 && r.error == -EBUSY;
		close(silent[i]);
	}
	assert_true(refused > SILENT / 10);
	r = identity_ask(&nobody, &q, fd);
	done(&r);
}

/* ---- a socket that its owner keeps locked ---- */

/* In the middle of a sendto(), whose data is on a page that is not there: the kernel waits for the
 * page with the socket locked, and whoever else wants the socket waits for it. */
struct locked {
	int fd, faults;
	char *page;
	pthread_t thread;
};

static void *send_page(void *arg)
{
	struct locked *l = arg;
	struct sockaddr_storage to;
	socklen_t len = net_address("127.0.0.1", 9, &to);

	(void)sendto(l->fd, l->page, 1, MSG_MORE, (struct sockaddr *)&to, len);
	return NULL;
}

static void lock(struct locked *l, int fd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .range.len = 4096, .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffd_msg fault;

	l->fd = fd;
	l->faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (l->faults < 0)
		skip_or_fail("the kernel has no userfaultfd");
	l->page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(l->page, MAP_FAILED);
	range.range.start = (uintptr_t)l->page;
	assert_return_code(ioctl(l->faults, UFFDIO_API, &api), errno);
	assert_return_code(ioctl(l->faults, UFFDIO_REGISTER, &range), errno);
	assert_int_equal(pthread_create(&l->thread, NULL, send_page, l), 0);
	/* The thread is there now, and the socket locked. */
	assert_int_equal(read(l->faults, &fault, sizeof(fault)), sizeof(fault));
}

static void unlock(struct locked *l)
{
	struct uffdio_zeropage zero = { .range = { (uintptr_t)l->page, 4096 } };

	assert_return_code(ioctl(l->faults, UFFDIO_ZEROPAGE, &zero), errno);
	assert_int_equal(pthread_join(l->thread, NULL), 0);
	munmap(l->page, 4096);
	close(l->faults);
}

/* More of them than a user may have requests. */
#define LOCKED 20

static void a_socket_kept_locked_keeps_nobody_else_waiting(void **state)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_REGISTER, AF_INET, IPPROTO_UDP);
	CLEANUP_FD int server = -1, other = -1;
	struct isomer_registrar_reply r;
	int waiting[LOCKED], refused = 0;
	struct locked l;

	(void)dispatcher_with_registrar(state);
	server = udp_bind("127.0.0.1", 1053);
	other = udp_bind("127.0.0.1", 1054);
	/* Root's own, which he may register; the group's member asks for another. */
	loader_ok("grant", "foo", "root:nogroup", NULL);
	lock(&l, server);
	for (int i = 0; i < LOCKED; i++) {
		waiting[i] = registrar_connect();
		assert_return_code(waiting[i], -waiting[i]);
		assert_int_equal(registrar_send_raw(waiting[i], &q, sizeof(q), &server, 1), 0);
	}
	r = identity_ask(&nobody, &q, other);
	done(&r);
	assert_int_equal(udp_who_receives("127.0.0.9", 53, &other, 1), 0);
	unlock(&l);
	for (int i = 0; i < LOCKED; i++) {
		assert_int_equal(registrar_receive_raw(waiting[i], &r, NULL), 0);
		refused += r.error == -EBUSY;
		close(waiting[i]);
	}
	assert_in_range(refused, 1, LOCKED - 16); /* some may have come after unlock() */
}

/* Who has no right to the label is not let near the socket. */
static void without_a_grant_nobody_waits_for_a_locked_socket(void **state)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_REGISTER, AF_INET, IPPROTO_UDP);
	struct isomer_registrar_reply r;
	CLEANUP_FD int fd = -1;
	struct locked l;

	(void)dispatcher_with_registrar(state);
	fd = udp_bind("127.0.0.1", 1053);
	lock(&l, fd);
	r = identity_ask(&nobody, &q, fd);
	failed(&r, ISOMER_REGISTRAR_LABEL, -EACCES);
	unlock(&l);
}

/* A listener that is shut down, or closed by its owner, between check and use. */
static void a_socket_that_changes_meanwhile_takes_no_traffic(void **state)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_REGISTER, AF_INET, IPPROTO_TCP);
	struct isomer_registrar_reply r;

	(void)dispatcher_with_registrar(state);
	for (int i = 0; i < 50; i++) {
		CLEANUP_FD int fd = tcp_listen("127.0.0.1", 0), connection = registrar_connect();

		assert_int_equal(registrar_send_raw(connection, &q, sizeof(q), &fd, 1), 0);
		if (i % 2) {
			shutdown(fd, SHUT_RDWR);
		} else {
			close(fd);
			fd = -1;
		}
		assert_int_equal(registrar_receive_raw(connection, &r, NULL), 0);
		if (i % 2 && r.error == 0)
			assert_int_equal(tcp_connect("127.0.0.9", 4321), -ECONNREFUSED);
	}
	assert_int_equal(tcp_connect("127.0.0.9", 4321), -ECONNREFUSED);
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
		netns_test(without_a_dispatcher_it_says_so),
		netns_test(a_server_answers_from_where_it_was_asked),
		netns_test(a_standby_answers_too),
		netns_test(a_socket_to_answer_from_is_of_the_servers_namespace),
		netns_test(nobody_answers_from_what_is_not_bound_to_him),
		netns_test(a_socket_to_answer_from_never_hears_anything),
		netns_test(a_malformed_request_is_told_so_and_changes_nothing),
		netns_test(a_client_may_go_at_any_time),
		netns_test(a_flood_of_one_user_does_not_keep_another_waiting),
		netns_test(a_socket_kept_locked_keeps_nobody_else_waiting),
		netns_test(without_a_grant_nobody_waits_for_a_locked_socket),
		netns_test(a_socket_that_changes_meanwhile_takes_no_traffic),
	};

	return cmocka_run_group_tests_name("registrar_protocol", tests, NULL, NULL);
}
