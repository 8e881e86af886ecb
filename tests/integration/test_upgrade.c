/* SPDX-License-Identifier: BSD-3-Clause */
/* Upgrades, under traffic: nobody is refused or sent elsewhere, and nothing is forgotten. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <isomer/abi.h>

#include "state/bpfsys.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"
#include "support/process.h"
#include "support/state_checker.h"

#define UPGRADES    20    /* at least */
#define CONNECTIONS 10000 /* at least; and as many datagrams */
#define OVERLAPPING 100   /* of each, at least */

/* Two labels with a server each, and one that listens everywhere and shall get nothing. */
enum server { FOO, BAR, OTHER, SERVERS };

static const struct {
	const char *label, *target, *ip;
	uint16_t port;
} servers[SERVERS] = {
	{ "foo", "127.0.1.1", "127.0.0.1", 1001 },
	{ "bar", "127.0.1.2", "127.0.0.1", 1002 },
	{ "other", NULL, "0.0.0.0", 80 },
};

/* The target's port. */
#define PORT 80

/* What clients find; shared with the test. */
struct tally {
	atomic_uint sent[2];     /* to FOO and BAR */
	atomic_uint right[2];    /* of these: were answered by it */
	atomic_uint overlapping; /* of these: while an upgrade ran */
	atomic_uint wrong, failed;
	atomic_int error; /* of the last that failed */
};

static struct shared {
	atomic_uint upgrade; /* odd while one runs */
	atomic_bool stop;
	struct tally tcp, udp;
} * shared;

/* ---- servers: answer with their letter ---- */

static void answer_connection(int listener, char letter)
{
	CLEANUP_FD int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		(void)!send(fd, &letter, 1, MSG_NOSIGNAL);
}

/* With the number that the datagram had. */
static void answer_datagram(int fd, char letter)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	char buffer[8] = { 0 };

	if (recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&peer, &len) != 5)
		return;
	buffer[0] = letter;
	(void)!sendto(fd, buffer, 5, 0, (struct sockaddr *)&peer, len);
}

static _Noreturn void serve(const int tcp[SERVERS], const int udp[SERVERS])
{
	struct pollfd pfds[2 * SERVERS];

	for (int i = 0; i < SERVERS; i++) {
		pfds[i] = (struct pollfd){ .fd = tcp[i], .events = POLLIN };
		pfds[SERVERS + i] = (struct pollfd){ .fd = udp[i], .events = POLLIN };
	}
	while (poll(pfds, 2 * SERVERS, -1) > 0) {
		for (int i = 0; i < SERVERS; i++) {
			if (pfds[i].revents)
				answer_connection(tcp[i], *servers[i].label);
			if (pfds[SERVERS + i].revents)
				answer_datagram(udp[i], *servers[i].label);
		}
	}
	_exit(EXIT_FAILURE);
}

/* ---- clients ---- */

/* The letter of who answers, or -errno. The server closes first: a client that is gone before would
 * answer that with a reset, which the dispatcher may see and count. */
static int ask_tcp(enum server who)
{
	CLEANUP_FD int fd = tcp_connect(servers[who].target, PORT);
	char letter, end;
	ssize_t n;

	if (fd < 0)
		return fd;
	n = recv(fd, &letter, 1, 0);
	if (n == 1 && recv(fd, &end, 1, 0) == 0)
		return letter;
	return n < 0 ? -errno : -EPIPE;
}

static int ask_udp(int fd, enum server who, uint32_t number)
{
	struct sockaddr_storage target;
	socklen_t len = net_address(servers[who].target, PORT, &target);
	char buffer[5] = { 0 };

	memcpy(buffer + 1, &number, sizeof(number));
	if (sendto(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&target, len) < 0)
		return -errno;
	while (net_readable(fd, NET_TIMEOUT_MS)) {
		if (recv(fd, buffer, sizeof(buffer), 0) == sizeof(buffer) &&
		    !memcmp(buffer + 1, &number, sizeof(number)))
			return buffer[0];
	}
	return -ETIMEDOUT;
}

static void count(struct tally *t, enum server who, int answer, unsigned int before)
{
	if (answer < 0) {
		atomic_store(&t->error, -answer);
		atomic_fetch_add(&t->failed, 1);
	} else if (answer != *servers[who].label) {
		atomic_fetch_add(&t->wrong, 1);
	} else {
		atomic_fetch_add(&t->right[who], 1);
		if (before % 2 || before != atomic_load(&shared->upgrade))
			atomic_fetch_add(&t->overlapping, 1);
	}
}

static _Noreturn void ask(bool tcp)
{
	struct tally *tally = tcp ? &shared->tcp : &shared->udp;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	for (uint32_t number = 0; !atomic_load(&shared->stop); number++) {
		enum server who = number % 2 ? BAR : FOO;
		unsigned int before = atomic_load(&shared->upgrade);
		int answer;

		atomic_fetch_add(&tally->sent[who], 1);
		answer = tcp ? ask_tcp(who) : ask_udp(fd, who, number);
		count(tally, who, answer, before);
	}
	_exit(EXIT_SUCCESS);
}

/* ---- the world ---- */

struct world {
	int tcp[SERVERS], udp[SERVERS];
	pid_t server, client[2];
};

static pid_t fork_off(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		fail_msg("fork: %s", strerror(errno));
	if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
		_exit(EXIT_FAILURE);
	return pid;
}

static void register_server(enum server who)
{
	char pid[16], port[8];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	snprintf(port, sizeof(port), "%u", servers[who].port);
	loader_ok("bind", servers[who].label, "tcp", servers[who].target, "80", NULL);
	loader_ok("bind", servers[who].label, "udp", servers[who].target, "80", NULL);
	loader_ok("register-pid", pid, servers[who].label, "tcp", servers[who].ip, port, NULL);
	loader_ok("register-pid", pid, servers[who].label, "udp", servers[who].ip, port, NULL);
}

static void world_open(struct world *w, const char *max_destinations)
{
	loader_ok("load", "--max-destinations", max_destinations, NULL);
	for (int i = 0; i < SERVERS; i++) {
		w->tcp[i] = tcp_listen(servers[i].ip, servers[i].port);
		w->udp[i] = udp_bind(servers[i].ip, servers[i].port);
		assert_return_code(w->tcp[i], -w->tcp[i]);
		assert_return_code(w->udp[i], -w->udp[i]);
		if (servers[i].target)
			register_server((enum server)i);
	}
	if (!shared)
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(shared, MAP_FAILED);
	memset(shared, 0, sizeof(*shared));
	w->server = fork_off();
	if (w->server == 0)
		serve(w->tcp, w->udp);
}

static void clients_start(struct world *w)
{
	for (int i = 0; i < 2; i++) {
		w->client[i] = fork_off();
		if (w->client[i] == 0)
			ask(i == 0);
	}
}

static void clients_stop(struct world *w)
{
	int status;

	atomic_store(&shared->stop, true);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(waitpid(w->client[i], &status, 0), w->client[i]);
		assert_int_equal(status, 0);
	}
}

static void world_close(struct world *w)
{
	assert_return_code(kill(w->server, SIGKILL), errno);
	assert_int_equal(waitpid(w->server, NULL, 0), w->server);
	for (int i = 0; i < SERVERS; i++) {
		close(w->tcp[i]);
		close(w->udp[i]);
	}
}

/* ---- what is kept ---- */

static uint64_t counter(const char *family, const char *label, const char *protocol)
{
	CLEANUP(command_done) struct command_result r = loader("metrics", "--once", NULL);
	char name[128];
	const char *found;

	assert_int_equal(r.status, 0);
	snprintf(name, sizeof(name), "\n%s{label=\"%s\",domain=\"ipv4\",protocol=\"%s\"} ", family,
		 label, protocol);
	found = strstr(r.out, name);
	if (!found)
		fail_msg("there is no counter %s in\n%s", name + 1, r.out);
	return strtoull(found + strlen(name), NULL, 10);
}

static uint64_t lookups(enum server who, const char *protocol)
{
	return counter("isomer_lookups_total", servers[who].label, protocol);
}

static char *text_of(const char *command)
{
	struct command_result r = loader(command, NULL);
	char *text = TAKE_PTR(r.out);

	assert_int_equal(r.status, 0);
	command_done(&r);
	return text;
}

/* Bindings, sockets and counters as `status` tells them. */
static void status_is(const char *before)
{
	CLEANUP_FREE char *after = text_of("status");

	assert_string_equal(after, before);
}

static void upgrade(const char *max_destinations)
{
	atomic_fetch_add(&shared->upgrade, 1);
	if (max_destinations)
		loader_ok("upgrade", "--max-destinations", max_destinations, NULL);
	else
		loader_ok("upgrade", NULL);
	atomic_fetch_add(&shared->upgrade, 1);
}

static unsigned int right(const struct tally *t)
{
	return atomic_load(&t->right[FOO]) + atomic_load(&t->right[BAR]);
}

static void check_tally(const struct tally *t, const char *what)
{
	print_message("%u %s answered, %u of them during an upgrade; %u refused, %u misled\n",
		      right(t), what, atomic_load(&t->overlapping), atomic_load(&t->failed),
		      atomic_load(&t->wrong));
	if (atomic_load(&t->failed))
		fail_msg("%u %s failed: %s", atomic_load(&t->failed), what,
			 strerror(atomic_load(&t->error)));
	assert_int_equal(atomic_load(&t->wrong), 0);
	assert_true(atomic_load(&t->overlapping) >= OVERLAPPING);
}

/* ---- tests ---- */

static void upgrades_under_traffic_lose_nothing(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *bindings = NULL, *after = NULL;
	struct world w;
	unsigned int n = 0;

	world_open(&w, "64");
	bindings = text_of("bindings");
	clients_start(&w);
	while (n < UPGRADES || right(&shared->tcp) < CONNECTIONS ||
	       right(&shared->udp) < CONNECTIONS) {
		upgrade(NULL);
		n++;
		if (atomic_load(&shared->tcp.failed) || atomic_load(&shared->udp.failed))
			break;
	}
	clients_stop(&w);

	print_message("%u upgrades\n", n);
	check_tally(&shared->tcp, "connections");
	check_tally(&shared->udp, "datagrams");
	for (int i = FOO; i <= BAR; i++) {
		assert_int_equal(lookups(i, "tcp"), atomic_load(&shared->tcp.sent[i]));
		assert_int_equal(lookups(i, "udp"), atomic_load(&shared->udp.sent[i]));
		assert_int_equal(counter("isomer_misses_total", servers[i].label, "tcp"), 0);
	}
	after = text_of("bindings");
	assert_string_equal(after, bindings);
	state_check(ns);
	world_close(&w);
}

/* Each gives more room than the one before. Packets between two steps of it are allowed to be
 * missing from the counters, but none is counted twice. */
static void upgrades_to_more_room_under_traffic_lose_nothing(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	struct world w;
	unsigned int n = 0;
	char max[16];

	world_open(&w, "64");
	clients_start(&w);
	while (n < UPGRADES || atomic_load(&shared->tcp.overlapping) < OVERLAPPING ||
	       atomic_load(&shared->udp.overlapping) < OVERLAPPING) {
		n++;
		snprintf(max, sizeof(max), "%u", 64 + n);
		upgrade(max);
		if (atomic_load(&shared->tcp.failed) || atomic_load(&shared->udp.failed))
			break;
	}
	clients_stop(&w);

	print_message("%u upgrades to more room\n", n);
	check_tally(&shared->tcp, "connections");
	check_tally(&shared->udp, "datagrams");
	for (int i = FOO; i <= BAR; i++) {
		uint64_t tcp = lookups(i, "tcp"), udp = lookups(i, "udp");
		unsigned int sent = atomic_load(&shared->tcp.sent[i]);

		print_message("%s: %u connections, counted %llu; %u datagrams, counted %llu\n",
			      servers[i].label, sent, (unsigned long long)tcp,
			      atomic_load(&shared->udp.sent[i]), (unsigned long long)udp);
		assert_in_range(tcp, sent - sent / 50, sent);
		sent = atomic_load(&shared->udp.sent[i]);
		assert_in_range(udp, sent - sent / 50, sent);
	}
	assert_int_equal(state_check(ns).max_destinations, 64 + n);
	world_close(&w);
}

static void upgrade_keeps_everything(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *before = NULL;
	struct world w;

	world_open(&w, "64");
	loader_ok("grant", "foo", "1000:1001", NULL);
	for (int i = 0; i < 10; i++)
		assert_int_equal(ask_tcp(i % 3 ? BAR : FOO), i % 3 ? 'b' : 'f');
	before = text_of("status");
	assert_int_equal(lookups(FOO, "tcp"), 4);
	upgrade(NULL);
	status_is(before);
	state_check(ns);
	assert_int_equal(ask_tcp(FOO), 'f');
	assert_int_equal(ask_tcp(BAR), 'b');
	assert_int_equal(lookups(FOO, "tcp"), 5);
	world_close(&w);
}

static void upgrade_makes_room_in_place(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *before = NULL;
	CLEANUP(command_done) struct command_result r = { 0 };
	struct world w;

	world_open(&w, "8"); /* for two labels */
	loader_ok("grant", "foo", "1000", NULL);
	r = loader("bind", "third", "tcp", "127.0.1.3", "80", NULL);
	assert_int_equal(r.status, 1);
	for (int i = 0; i < 10; i++)
		assert_int_equal(ask_tcp(i % 3 ? BAR : FOO), i % 3 ? 'b' : 'f');
	before = text_of("status");
	upgrade("12");
	status_is(before);
	assert_int_equal(state_check(ns).max_destinations, 12);
	assert_int_equal(ask_tcp(FOO), 'f');
	assert_int_equal(lookups(FOO, "tcp"), 5);

	loader_ok("bind", "third", "tcp", "127.0.1.3", "80", NULL);
	assert_int_equal(tcp_connect("127.0.1.3", PORT), -ECONNREFUSED);
	assert_int_equal(counter("isomer_misses_total", "third", "tcp"), 1);
	assert_int_equal(ask_tcp(BAR), 'b');
	assert_int_equal(state_check(ns).labels, 3);
	world_close(&w);
}

static void upgrade_to_less_room_is_refused(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP(command_done) struct command_result r = { 0 };
	CLEANUP_FREE char *before = NULL;

	loader_ok("load", "--max-destinations", "64", NULL);
	loader_ok("bind", "foo", "tcp", "127.0.1.1", "80", NULL);
	before = state_dump(ns->bpffs);
	r = loader("upgrade", "--max-destinations", "63", NULL);
	assert_int_equal(r.status, 1);
	assert_non_null(strstr(r.err, "64"));
	state_is_still(ns->bpffs, before);
}

/* ---- state of a newer schema ---- */

static void write_schema(const struct netns_fixture *ns, uint32_t schema)
{
	struct isomer_info info;
	CLEANUP_FD int fd = -1;
	char path[512];
	uint32_t key = 0;

	snprintf(path, sizeof(path), "%s/" ISOMER_PIN_INFO, ns->state_dir);
	assert_int_equal(bpfsys_obj_get(path, 0, &fd), 0);
	assert_int_equal(bpfsys_map_lookup(fd, &key, &info), 0);
	info.schema = schema;
	assert_int_equal(bpfsys_map_update(fd, &key, &info, BPF_ANY), 0);
}

#define ARGV(...)                                                                                  \
	(const char *const[])                                                                      \
	{                                                                                          \
		loader_path(), __VA_ARGS__, NULL                                                   \
	}

/* Descriptor 3 is a file of bindings, or a socket to be registered. */
static void check_refused(const char *const *argv, int fd)
{
	CLEANUP(command_done) struct command_result r = command_run(&(struct process_options){
		.argv = argv,
		.pass_fd = fd,
		.env = (const char *const[]){ "LISTEN_FDS=1", NULL },
	});

	if (r.status != 1 || r.out[0] || !strstr(r.err, "version") ||
	    strchr(r.err, '\n') != r.err + strlen(r.err) - 1)
		fail_msg("%s: exit status %d, and said\n%s%s", argv[1], r.status, r.out, r.err);
}

static void state_of_a_newer_schema_is_left_alone(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FD int file = memfd_create("bindings", MFD_CLOEXEC);
	CLEANUP_FREE char *before = NULL;
	struct world w;
	char pid[16];

	assert_true(write(file, "{\"bindings\": []}", 16) == 16);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	world_open(&w, "64");
	loader_ok("grant", "foo", "1000", NULL);
	write_schema(ns, ISOMER_SCHEMA + 1);
	before = state_dump(ns->bpffs);

	check_refused(ARGV("load"), file);
	check_refused(ARGV("unload"), file);
	check_refused(ARGV("upgrade"), file);
	check_refused(ARGV("upgrade", "--max-destinations", "128"), file);
	check_refused(ARGV("bind", "foo", "tcp", "127.0.1.9", "80"), file);
	check_refused(ARGV("unbind", "foo", "tcp", "127.0.1.1", "80"), file);
	check_refused(ARGV("load-bindings", "/proc/self/fd/3"), file);
	check_refused(ARGV("grant", "foo", "1001"), file);
	check_refused(ARGV("revoke", "foo"), file);
	check_refused(ARGV("register", "foo"), w.tcp[BAR]);
	check_refused(ARGV("register-pid", pid, "foo", "tcp", "127.0.0.1", "1002"), file);
	check_refused(ARGV("unregister", "foo", "ipv4", "tcp"), file);
	check_refused(ARGV("bindings"), file);
	check_refused(ARGV("status"), file);
	check_refused(ARGV("metrics", "--once"), file);
	check_refused(ARGV("explain", "tcp", "127.0.1.1", "80"), file);

	state_is_still(ns->bpffs, before);
	assert_int_equal(ask_tcp(FOO), 'f');
	write_schema(ns, ISOMER_SCHEMA);
	state_check(ns);
	loader_ok("unload", NULL);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(upgrades_under_traffic_lose_nothing),
		netns_test(upgrades_to_more_room_under_traffic_lose_nothing),
		netns_test(upgrade_keeps_everything),
		netns_test(upgrade_makes_room_in_place),
		netns_test(upgrade_to_less_room_is_refused),
		netns_test(state_of_a_newer_schema_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
