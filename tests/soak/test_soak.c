/* SPDX-License-Identifier: BSD-3-Clause */
/* Everything at once and for a while: clients ask by TCP and UDP all the time, while bindings are
 * replaced, servers restart, crash and are upgraded in place, the dispatcher is upgraded, labels
 * come and go and the registrar is killed. No client may be answered by the wrong server; in the
 * end there are as many objects as in the beginning, and who lived through it has not grown.
 *
 * ISOMER_SOAK_SECONDS says how long (default: 20).
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "soak/census.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"
#include "support/ruleset_model.h"

/* A file system that ends with the namespaces of the test. */
#define FOLDER "/mnt"

/* ---- clients ---- */

/* Where clients ask, and who may answer: a server of either name at the third, which the bindings
 * take from one label to the other; and at the last the one that lives through everything. */
static const struct {
	const char *ip, *names;
} places[] = { { "127.0.1.1", "web" },
	       { "127.0.1.2", "api" },
	       { "127.0.1.3", "web api" },
	       { "127.0.3.1", "old" } };

#define PLACES (sizeof(places) / sizeof(*places))

static atomic_bool over;
static atomic_ullong asked, refused, lost, wrong, unanswered;

/* @name: what the answer consists of; a server that was killed sends none, or a part. */
static void judge(const char *name, size_t place)
{
	if (!*name)
		lost++;
	else if (!strstr(places[place].names, name))
		wrong++;
}

static void ask_tcp(size_t place)
{
	char name[32];
	int r = tcp_exchange(places[place].ip, 80, NULL, name, sizeof(name));

	asked++;
	if (r == -ECONNREFUSED)
		refused++;
	else if (r < 0)
		lost++;
	else
		judge(name, place);
}

static void ask_udp(int fd, size_t place)
{
	struct pollfd answer = { .fd = fd, .events = POLLIN };
	struct sockaddr_storage to;
	socklen_t len = net_address(places[place].ip, 53, &to);
	char name[32] = "";

	asked++;
	if (sendto(fd, "x", 1, 0, (struct sockaddr *)&to, len) < 0 || poll(&answer, 1, 200) != 1 ||
	    recv(fd, name, sizeof(name) - 1, 0) < 0)
		unanswered++;
	else
		judge(name, place);
}

/* A thousand a second of each client are enough to meet every moment of a change, and leave the
 * machine to what changes. */
static void *ask(void *udp)
{
	for (size_t n = 0; !over; n++) {
		if (udp) {
			/* A late answer goes to a socket that nobody has any more. */
			CLEANUP_FD int fd = udp_bind("127.0.0.1", 0);

			ask_udp(fd, n % PLACES);
		} else {
			ask_tcp(n % PLACES);
		}
		poll(NULL, 0, 1);
	}
	return NULL;
}

/* ---- servers ---- */

/* Of each label the newest server, and one that has been there before. */
struct label {
	const char *name;
	struct process *newest, *standby;
	unsigned int upgrades; /* of the newest */
	const char *way;       /* "ISOMER_VIA=…" */
	const char *registrar;
};

static struct label web = { .name = "web",
			    .way = "ISOMER_VIA=bpf",
			    .registrar = "ISOMER_REGISTRAR=" FOLDER "/steady" };
static struct label api = { .name = "api",
			    .way = "ISOMER_VIA=registrar",
			    .registrar = "ISOMER_REGISTRAR=" FOLDER "/killed" };

static struct label old = { .name = "old",
			    .way = "ISOMER_VIA=bpf",
			    .registrar = "ISOMER_REGISTRAR=" FOLDER "/steady" };

static struct process *start_server(const struct label *l)
{
	static unsigned int started;
	char variable[64], port[8];
	const struct guest_options options = { .env = { variable, l->way, l->registrar } };
	struct process *p;

	snprintf(variable, sizeof(variable), "ISOMER_LABEL=%s", l->name);
	snprintf(port, sizeof(port), "%u", 2000 + started++ % 20000);
	p = guest_start(&options, "named", l->name, port, NULL);
	guest_said_nothing(p);
	return p;
}

static void replace(struct label *l)
{
	l->newest = start_server(l);
	l->upgrades = 0;
}

/* The new one is there before the former goes. */
static void restart(struct label *l)
{
	struct process *former = l->newest;

	replace(l);
	process_stop(former, SIGTERM);
}

/* The standby takes over at once. */
static void crash(struct label *l)
{
	process_stop(l->newest, SIGKILL);
	replace(l);
}

/* By exec(), with its sockets. */
static void upgrade_server(struct label *l)
{
	char line[32];

	snprintf(line, sizeof(line), "upgraded %u\n", ++l->upgrades);
	process_signal(l->newest, SIGUSR2);
	process_wait_output(l->newest, line);
	guest_said_nothing(l->newest);
}

/* ---- registrars: one that is killed, and one that lives through everything ---- */

static struct process *killed, *steady;

static struct process *start_registrar(const char *name)
{
	char path[64], line[128];
	struct process *p;

	snprintf(path, sizeof(path), FOLDER "/%s", name);
	snprintf(line, sizeof(line), "Listening on %s", path);
	p = process_start(&(struct process_options){
		.argv = (const char *const[]){ loader_path(), "registrar", "--socket", path,
					       NULL } });
	process_wait_output(p, line);
	return p;
}

/* Its workers follow it a moment later. */
static void wait_refused(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int r = 0;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	for (int ms = 0; r == 0 && ms < NET_TIMEOUT_MS; ms++) {
		CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

		r = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
		poll(NULL, 0, r == 0);
	}
	assert_int_equal(r, -ECONNREFUSED);
}

static void kill_registrar(void)
{
	process_stop(killed, SIGKILL);
	wait_refused(FOLDER "/killed");
	killed = start_registrar("killed");
}

/* ---- the exporter ---- */

#define EXPORTER_PORT 9100

static struct process *exporter;

static void start_exporter(void)
{
	char port[8];

	snprintf(port, sizeof(port), "%d", EXPORTER_PORT);
	exporter = process_start(&(struct process_options){
		.argv = (const char *const[]){ loader_path(), "metrics", "127.0.0.1", port,
					       NULL } });
	process_wait_port(exporter, "tcp", EXPORTER_PORT);
}

static void scrape(void)
{
	char answer[64];

	assert_true(tcp_exchange("127.0.0.1", EXPORTER_PORT, "GET /metrics HTTP/1.0\r\n\r\n",
				 answer, sizeof(answer)) > 0);
	assert_non_null(strstr(answer, " 200 "));
}

/* ---- the operator ---- */

#define OLD_BINDINGS                                                                               \
	"{\"label\": \"old\", \"prefix\": \"127.0.3.1\", \"port\": 80},"                           \
	"{\"label\": \"old\", \"prefix\": \"127.0.3.1\", \"port\": 53},"

static const char *const sets[] = {
	"{\"bindings\": [" OLD_BINDINGS
	"{\"label\": \"web\", \"prefix\": \"127.0.1.1\", \"port\": 80},"
	"{\"label\": \"web\", \"prefix\": \"127.0.1.1\", \"port\": 53},"
	"{\"label\": \"api\", \"prefix\": \"127.0.1.0/24\", \"port\": 80},"
	"{\"label\": \"api\", \"prefix\": \"127.0.1.0/24\", \"port\": 53}]}",
	"{\"bindings\": [" OLD_BINDINGS
	"{\"label\": \"api\", \"prefix\": \"127.0.1.2\", \"port\": \"1-80\"},"
	"{\"label\": \"gone\", \"prefix\": \"127.0.1.0/25\", \"port\": 81},"
	"{\"label\": \"web\", \"prefix\": \"127.0.1.0/24\", \"port\": 0}]}",
};

static void load_set(unsigned int i)
{
	loader_ok("load-bindings", i ? FOLDER "/1" : FOLDER "/0", NULL);
}

static void write_sets(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		FILE *f = fopen(i ? FOLDER "/1" : FOLDER "/0", "we");

		assert_non_null(f);
		assert_true(fputs(sets[i], f) >= 0);
		assert_int_equal(fclose(f), 0);
	}
}

static void change_something(struct model_random *random)
{
	switch (model_random(random, 12)) {
	case 0:
	case 1:
		load_set(model_random(random, 2));
		break;
	case 2:
		restart(&web);
		break;
	case 3:
		restart(&api);
		break;
	case 4:
		crash(&web);
		break;
	case 5:
		crash(&api);
		break;
	case 6:
		upgrade_server(&web);
		break;
	case 7:
		upgrade_server(&api);
		break;
	case 8:
		loader_ok("upgrade", NULL);
		break;
	case 9:
		loader_ok("bind", "side", "tcp", "127.0.2.0/24", "1-1000", NULL);
		loader_ok("unbind", "side", "tcp", "127.0.2.0/24", "1-1000", NULL);
		break;
	case 10:
		loader_ok("grant", "side", "65534", NULL);
		loader_ok("revoke", "side", NULL);
		break;
	default:
		kill_registrar();
		break;
	}
}

/* The table of peers of a UDP server, which fills with clients up to a bound. */
#define PEERS_KIB (16 * 1024)

/* Resident memory in KiB without that table. */
static long resident(const struct process *p)
{
	long sum = 0, size = 0, rss;
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)process_pid(p));
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "Size: %ld", &size);
		if (sscanf(line, "Rss: %ld", &rss) == 1 && size < PEERS_KIB)
			sum += rss;
	}
	fclose(f);
	assert_true(sum > 0);
	return sum;
}

/* ---- the test ---- */

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

#define CLIENTS 4
#define TENTHS  10

static void start_everything(uint32_t destinations)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", destinations);
	assert_return_code(mount("test", FOLDER, "tmpfs", 0, "mode=0755"), errno);
	write_sets();
	loader_ok("load", "--max-destinations", text, NULL);
	load_set(0);
	killed = start_registrar("killed");
	steady = start_registrar("steady");
	start_exporter();
	old.newest = start_server(&old);
	web.standby = start_server(&web);
	web.newest = start_server(&web);
	api.standby = start_server(&api);
	/* From here on by way of the one that is not killed: it has work to do. */
	web.way = "ISOMER_VIA=registrar";
	api.newest = start_server(&api);
}

static void print_counts(unsigned int changes)
{
	printf("%llu asked while %u changes were made: %llu refused, %llu without an answer, %llu "
	       "datagrams unanswered, %llu answered by the wrong server\n",
	       asked, changes, refused, lost, unanswered, wrong);
}

/* Who lives through everything: one server that mostly waits, and one that is asked all the time.
 */
static const struct {
	const char *name;
	struct process **process;
} survivors[] = { { "standby", &web.standby },
		  { "server", &old.newest },
		  { "registrar", &steady },
		  { "exporter", &exporter } };

#define SURVIVORS (sizeof(survivors) / sizeof(*survivors))

static void check_memory(const char *who, const struct process *p, long second)
{
	long last = resident(p);

	printf("%s: %ld KiB after a tenth, %ld KiB in the end\n", who, second, last);
	assert_in_range(last, 0, second + 64);
}

static void no_client_is_answered_by_the_wrong_server(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	const char *text = getenv("ISOMER_SOAK_SECONDS");
	double length = text ? strtod(text, NULL) : 20, begin;
	CLEANUP_FD int other_tcp = tcp_listen("0.0.0.0", 80);
	/* Without SO_REUSEADDR nobody else could send from that port. */
	CLEANUP_FD int other_udp = udp_bind_reuseaddr("0.0.0.0", 53);
	struct model_random random = model_random_make((uint64_t)time(NULL));
	uint32_t destinations = 64 + (uint32_t)getpid() % 4096;
	struct census before;
	pthread_t client[CLIENTS];
	long memory[SURVIVORS] = { 0 };
	unsigned int changes = 0;

	start_everything(destinations);
	before = census_take(ns, destinations);
	for (uintptr_t i = 0; i < CLIENTS; i++)
		assert_int_equal(pthread_create(&client[i], NULL, ask, i % 2 ? (void *)i : NULL),
				 0);
	for (begin = seconds(); seconds() - begin < length; changes++) {
		change_something(&random);
		scrape();
		for (size_t i = 0; i < SURVIVORS && seconds() - begin < 2 * length / TENTHS; i++)
			memory[i] = resident(*survivors[i].process);
	}
	load_set(0);
	over = true;
	for (size_t i = 0; i < CLIENTS; i++)
		pthread_join(client[i], NULL);

	print_counts(changes);
	assert_int_equal(wrong, 0);
	assert_int_equal(refused, 0);
	assert_false(net_readable(other_tcp, 0) || net_readable(other_udp, 0));
	census_returns_to(ns, destinations, &before);
	for (size_t i = 0; i < SURVIVORS; i++)
		check_memory(survivors[i].name, *survivors[i].process, memory[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(no_client_is_answered_by_the_wrong_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
