/* SPDX-License-Identifier: BSD-3-Clause */
/* Servers of one label that come and go. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/load.h"
#include "integration/server.h"
#include "state/cleanup.h"
#include "state/slots.h"
#include "support/net.h"
#include "support/netns.h"

#define WEB_IP   "127.0.0.2"
#define WEB_PORT 80
#define WORKERS  20 /* more than there are slots */

/* Enough that of a fair share nobody goes empty. */
#define MANY 400

static void load_web(void)
{
	loader_ok("load", NULL);
	loader_ok("bind", "web", "tcp", WEB_IP, "80", NULL);
}

static struct process *start(const char *name, uint16_t port)
{
	return server_start_tcp("web", name, "127.0.0.1", port, 0);
}

/* With @sockets listeners that others may join on the same port. */
static struct process *start_shared(const char *name, unsigned sockets)
{
	return server_start_tcp("web", name, "127.0.0.1", 8080, sockets);
}

static void assert_web_answers(const char *name)
{
	server_answers(WEB_IP, WEB_PORT, name);
}

static void assert_web_refuses(void)
{
	server_refuses(WEB_IP, WEB_PORT);
}

/* Sends a signal to server_tcp.py and waits for the word that it has done what that asks for. */
static void tell(struct process *p, int signal, const char *word)
{
	assert_return_code(kill(process_pid(p), signal), errno);
	process_wait_output(p, word);
}

/* One line of server_tcp.py on an open connection, which stays open. */
static void assert_line(int fd, const char *expected)
{
	char line[128];
	size_t n = 0;

	while (n < sizeof(line) - 1 && (n == 0 || line[n - 1] != '\n')) {
		ssize_t got = recv(fd, line + n, 1, 0);

		if (got <= 0)
			fail_msg("expected '%s': %s", expected, got ? strerror(errno) : "closed");
		n++;
	}
	line[n] = '\0';
	assert_string_equal(line, expected);
}

static void assert_conversation(int fd, const char *say, const char *expected)
{
	assert_int_equal(send(fd, say, strlen(say), MSG_NOSIGNAL), strlen(say));
	assert_line(fd, expected);
}

/* ---- old and new ---- */

static void second_instance_takes_new_connections_and_the_first_keeps_its_own(void **state)
{
	CLEANUP(process_stopp) struct process *a = NULL, *b = NULL;
	CLEANUP_FD int open_one = -1;

	netns_or_skip(state);
	load_web();
	a = start("a", 8001);
	open_one = tcp_connect(WEB_IP, WEB_PORT);
	assert_return_code(open_one, -open_one);
	assert_line(open_one, "a 127.0.0.2 80\n");

	b = start("b", 8002);
	for (int i = 0; i < 20; i++)
		assert_web_answers("b");
	assert_conversation(open_one, "still there?\n", "a still there?\n");

	/* It ends when its last connection does, not sooner. */
	tell(a, SIGTERM, "closed");
	assert_web_answers("b");
	assert_conversation(open_one, "and now?\n", "a and now?\n");
	assert_conversation(open_one, "once more\n", "a once more\n");
	close(TAKE_FD(open_one));
	assert_int_equal(process_wait(a), 0);
	assert_web_answers("b");
	server_stop(TAKE_PTR(a), SIGKILL);
	server_stop(TAKE_PTR(b), SIGKILL);
}

static void traffic_falls_back_to_the_newest_that_lives(void **state)
{
	CLEANUP(process_stopp) struct process *a = NULL, *b = NULL, *c = NULL;

	netns_or_skip(state);
	load_web();
	assert_web_refuses();
	a = start("a", 8001);
	assert_web_answers("a");
	b = start("b", 8002);
	assert_web_answers("b");
	c = start("c", 8003);
	assert_web_answers("c");

	server_stop(TAKE_PTR(c), SIGKILL);
	assert_web_answers("b");
	server_stop(TAKE_PTR(b), SIGKILL);
	assert_web_answers("a");
	server_stop(TAKE_PTR(a), SIGKILL);
	assert_web_refuses();

	a = start("again", 8001);
	assert_web_answers("again");
	server_stop(TAKE_PTR(a), SIGKILL);
}

/* The one in the middle goes: neither it nor the order of the others matters to the newest. */
static void end_of_an_older_instance_changes_nothing(void **state)
{
	CLEANUP(process_stopp) struct process *a = NULL, *b = NULL, *c = NULL;

	netns_or_skip(state);
	load_web();
	a = start("a", 8001);
	b = start("b", 8002);
	c = start("c", 8003);

	server_stop(TAKE_PTR(b), SIGKILL);
	assert_web_answers("c");
	server_stop(TAKE_PTR(c), SIGKILL);
	assert_web_answers("a");
	server_stop(TAKE_PTR(a), SIGKILL);
}

static void listening_again_takes_nothing_back(void **state)
{
	CLEANUP(process_stopp) struct process *a = NULL, *b = NULL;

	netns_or_skip(state);
	load_web();
	a = start("a", 8001);
	b = start("b", 8002);

	tell(a, SIGUSR1, "listened again");
	for (int i = 0; i < 20; i++)
		assert_web_answers("b");
	server_stop(TAKE_PTR(b), SIGKILL);
	assert_web_answers("a");
	server_stop(TAKE_PTR(a), SIGKILL);
}

/* The slots are full of those that started before; the newest gets the traffic all the same. */
static void newest_is_current_when_no_standby_is_free(void **state)
{
	struct process *p[ISOMER_SLOTS + 1];
	char name[8];

	netns_or_skip(state);
	load_web();
	for (int i = 0; i <= ISOMER_SLOTS; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		p[i] = start(name, (uint16_t)(8001 + i));
		assert_web_answers(name);
	}
	server_stop(p[ISOMER_SLOTS], SIGKILL);
	/* The one before was current only, and is so no more: number 14 has the last standby. */
	assert_web_answers("p14");
	for (int i = 0; i < ISOMER_SLOTS; i++)
		server_stop(p[i], SIGKILL);
	assert_web_refuses();
}

/* ---- SO_REUSEPORT ---- */

/* Makes MANY connections. Which of the @n names got none? NULL: all got some. None may fail. */
static const char *who_is_idle(const char *const *names, size_t n)
{
	unsigned got[WORKERS] = { 0 };
	char name[32];

	for (int i = 0; i < MANY; i++) {
		size_t who = 0;

		server_ask(WEB_IP, WEB_PORT, name);
		while (who < n && strcmp(names[who], name) != 0)
			who++;
		if (who == n)
			fail_msg("answered by %s, which should get nothing", name);
		got[who]++;
	}
	for (size_t i = 0; i < n; i++)
		if (got[i] == 0)
			return names[i];
	return NULL;
}

static void group_survives(int victim)
{
	static const char *const names[] = { "first", "second" };
	struct process *p[2];

	for (int i = 0; i < 2; i++)
		p[i] = start_shared(names[i], 1);
	assert_null(who_is_idle(names, 2));
	server_stop(p[victim], SIGKILL);
	assert_null(who_is_idle(&names[!victim], 1));

	/* A successor joins the group and shares at once. */
	p[victim] = start_shared(names[victim], 1);
	assert_null(who_is_idle(names, 2));
	for (int i = 0; i < 2; i++)
		server_stop(p[i], SIGKILL);
	assert_web_refuses();
}

static void reuseport_group_shares_and_survives_its_first(void **state)
{
	netns_or_skip(state);
	load_web();
	group_survives(0);
}

static void reuseport_group_shares_and_survives_its_second(void **state)
{
	netns_or_skip(state);
	load_web();
	group_survives(1);
}

/* How many of the slots are taken, the current one aside. */
static unsigned standbys(const struct netns_fixture *ns)
{
	uint64_t cookies[ISOMER_SLOTS];
	CLEANUP_FD int fd = -1;
	struct isomer_state st;
	unsigned n = 0;

	assert_int_equal(isomer_state_open(ns->bpffs, ns->netns_inode, &st), 0);
	assert_int_equal(isomer_slots_open(&st, "web", AF_INET, IPPROTO_TCP, &fd), 0);
	assert_int_equal(isomer_slots_read(fd, cookies), 0);
	for (size_t i = 1; i < ISOMER_SLOTS; i++)
		n += cookies[i] != 0;
	return n;
}

static void start_workers(struct process *workers[WORKERS], const char *names[WORKERS])
{
	static char text[WORKERS][8];

	for (int i = 0; i < WORKERS; i++) {
		snprintf(text[i], sizeof(text[i]), "w%d", i);
		names[i] = text[i];
		workers[i] = start_shared(text[i], 1);
	}
}

static void end_workers(struct process *workers[WORKERS], int from, int to)
{
	for (int i = from; i < to; i++)
		server_stop(workers[i], SIGKILL);
}

static void twenty_workers_and_the_two_newest_are_left(void **state)
{
	struct process *workers[WORKERS];
	const char *names[WORKERS];

	netns_or_skip(state);
	load_web();
	start_workers(workers, names);
	assert_null(who_is_idle(names, WORKERS));
	end_workers(workers, 0, WORKERS - 2);
	assert_null(who_is_idle(names + WORKERS - 2, 2));
	end_workers(workers, WORKERS - 2, WORKERS);
	assert_web_refuses();
}

static void twenty_workers_and_the_two_oldest_are_left(void **state)
{
	struct process *workers[WORKERS];
	const char *names[WORKERS];

	netns_or_skip(state);
	load_web();
	start_workers(workers, names);
	assert_null(who_is_idle(names, WORKERS));
	end_workers(workers, 2, WORKERS);
	assert_null(who_is_idle(names, 2));
	end_workers(workers, 0, 2);
	assert_web_refuses();
}

static void twenty_sockets_of_one_process_take_two_standbys(void **state)
{
	CLEANUP(process_stopp) struct process *many = NULL, *other = NULL;
	struct netns_fixture *ns = netns_or_skip(state);

	load_web();
	many = start_shared("many", WORKERS);
	assert_int_equal(standbys(ns), 2);
	for (int i = 0; i < MANY; i++)
		assert_web_answers("many");
	tell(many, SIGUSR2, "closed"); /* 19 of 20 */
	assert_int_equal(standbys(ns), 1);
	for (int i = 0; i < MANY; i++)
		assert_web_answers("many");

	/* There is room for a successor. */
	other = start("other", 8002);
	assert_web_answers("other");
	server_stop(TAKE_PTR(other), SIGKILL);
	assert_web_answers("many");
	server_stop(TAKE_PTR(many), SIGKILL);
	assert_int_equal(standbys(ns), 0);
}

/* ---- nobody is left ---- */

static void clients_of_a_dead_server_are_refused(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int other = -1;

	netns_or_skip(state);
	load_web();
	other = tcp_listen_dual(WEB_PORT);
	assert_return_code(other, -other);
	p = start("web", 8001);
	assert_web_answers("web");

	server_stop(TAKE_PTR(p), SIGKILL);
	assert_web_refuses();
	assert_false(net_readable(other, 0));
	/* It would have got them, had there been no binding. */
	assert_int_equal(tcp_who_accepts("127.0.0.3", WEB_PORT, &other, 1), 0);
}

static void miss_policy_pass_leaves_clients_of_a_dead_server_to_others(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	CLEANUP_FD int other = -1;

	netns_or_skip(state);
	loader_ok("load", NULL);
	loader_ok("bind", "web", "tcp", WEB_IP, "80", "--miss", "pass", NULL);
	assert_web_refuses(); /* nobody at all */
	other = tcp_listen_dual(WEB_PORT);
	assert_return_code(other, -other);
	assert_int_equal(tcp_who_accepts(WEB_IP, WEB_PORT, &other, 1), 0);

	p = start("web", 8001);
	assert_web_answers("web");
	assert_false(net_readable(other, 0));
	server_stop(TAKE_PTR(p), SIGKILL);
	assert_int_equal(tcp_who_accepts(WEB_IP, WEB_PORT, &other, 1), 0);
}

/* ---- a restart without a gap ---- */

#define CONNECTIONS  2000
#define REPLACEMENTS 5

static void restarts_lose_no_connection(void **state)
{
	struct process *old, *new;
	struct load *clients;
	char name[2] = "0";

	netns_or_skip(state);
	load_web();
	old = start("0", 8001);
	clients =
		load_start(&(struct load_options){ WEB_IP, WEB_PORT, "bye\n", " 127.0.0.2 80\n" });
	for (unsigned i = 1; i <= REPLACEMENTS; i++) {
		load_more(clients, CONNECTIONS / (REPLACEMENTS + 1));
		name[0] = (char)('0' + i);
		new = start(name, (uint16_t)(8001 + i));
		process_stop(old, SIGTERM);
		old = new;
	}
	load_more(clients, CONNECTIONS / (REPLACEMENTS + 1));
	load_stop(clients);
	assert_web_answers("5");
	server_stop(old, SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(second_instance_takes_new_connections_and_the_first_keeps_its_own),
		netns_test(traffic_falls_back_to_the_newest_that_lives),
		netns_test(end_of_an_older_instance_changes_nothing),
		netns_test(listening_again_takes_nothing_back),
		netns_test(newest_is_current_when_no_standby_is_free),
		netns_test(reuseport_group_shares_and_survives_its_first),
		netns_test(reuseport_group_shares_and_survives_its_second),
		netns_test(twenty_workers_and_the_two_newest_are_left),
		netns_test(twenty_workers_and_the_two_oldest_are_left),
		netns_test(twenty_sockets_of_one_process_take_two_standbys),
		netns_test(clients_of_a_dead_server_are_refused),
		netns_test(miss_policy_pass_leaves_clients_of_a_dead_server_to_others),
		netns_test(restarts_lose_no_connection),
	};

	return cmocka_run_group_tests_name("restart", tests, NULL, NULL);
}
