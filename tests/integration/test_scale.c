/* SPDX-License-Identifier: BSD-3-Clause */
/* Many labels and bindings at once, many labels one after another, and the limits. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "loader/change.h"
#include "loader/labels.h"
#include "loader/netns.h"
#include "state/bpfsys.h"
#include "state/cleanup.h"
#include "state/slots.h"
#include "support/bpf_objects.h"
#include "support/net.h"
#include "support/netns.h"
#include "support/process.h"
#include "support/state_checker.h"

#define LABELS   2000
#define BINDINGS 5000
#define ALL      (ISOMER_DESTINATIONS_DEFAULT / DESTINATIONS_OF_LABEL)

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void begin(struct change *c)
{
	struct netns ns;
	pid_t holder;

	assert_int_equal(netns_enter(NETNS_SELF, &ns), 0);
	assert_int_equal(change_begin("/sys/fs/bpf", &ns, c, &holder), 0);
}

static void label_name(unsigned i, char ret[32])
{
	snprintf(ret, 32, "label-%u.example", i);
}

/* Makes the labels @first to @end - 1. */
static void create_labels(struct change *c, unsigned first, unsigned end)
{
	char names[ALL][32];
	const char *labels[ALL];

	for (unsigned i = first; i < end; i++) {
		label_name(i, names[i - first]);
		labels[i - first] = names[i - first];
	}
	assert_int_equal(labels_create(&c->d, &c->destinations, labels, end - first), 0);
}

/* Binding @i is of label i % LABELS: TCP to 127.<i>.0/24, port 1000 + i / LABELS. */
static void address_of(unsigned i, unsigned last_byte, char ret[INET_ADDRSTRLEN])
{
	snprintf(ret, INET_ADDRSTRLEN, "127.%u.%u.%u", 1 + i / 250, i % 250, last_byte);
}

static uint16_t port_of(unsigned i)
{
	return (uint16_t)(1000 + i / LABELS);
}

static void add_binding(struct change *c, unsigned i)
{
	struct isomer_binding b = {
		.domain = AF_INET,
		.protocol = IPPROTO_TCP,
		.prefixlen = 24,
		.port_first = port_of(i),
		.port_last = port_of(i),
	};
	const struct destination *d;
	char name[32], ip[INET_ADDRSTRLEN];

	label_name(i % LABELS, name);
	d = destinations_find(&c->destinations, name, AF_INET, IPPROTO_TCP);
	assert_non_null(d);
	b.destination = d->id;
	address_of(i, 0, ip);
	assert_int_equal(inet_pton(AF_INET, ip, b.addr), 1);
	assert_int_equal(bindings_add(&c->bindings, &b), 0);
}

static void fill_dispatcher(void)
{
	CLEANUP(change_end) struct change c = CHANGE_NONE;
	double start = now();

	begin(&c);
	create_labels(&c, 0, LABELS);
	for (unsigned i = 0; i < BINDINGS; i++)
		add_binding(&c, i);
	assert_int_equal(change_commit(&c), 0);
	print_message("%u labels and %u bindings: %.2f s\n", LABELS, BINDINGS, now() - start);
}

/* Registers a listener of the test. */
static int register_listener(const char *label, uint16_t port)
{
	int fd = tcp_listen("127.0.0.1", port);

	assert_return_code(fd, -fd);
	loader_register(getpid(), label, "tcp", "127.0.0.1", port);
	return fd;
}

/* Each binding of some labels leads to that label's listener, and those of their neighbours to
 * none. */
static void sample_lookups(void)
{
	static const unsigned sample[] = { 0, 1, 997, 1000, LABELS - 1 };
	enum { SAMPLE = sizeof(sample) / sizeof(*sample) };
	int listeners[SAMPLE];
	char name[32], ip[INET_ADDRSTRLEN];

	for (int i = 0; i < SAMPLE; i++) {
		label_name(sample[i], name);
		listeners[i] = register_listener(name, (uint16_t)(20000 + i));
	}
	for (int i = 0; i < SAMPLE; i++) {
		for (unsigned b = sample[i]; b < BINDINGS; b += LABELS) {
			address_of(b, 7, ip);
			assert_int_equal(tcp_who_accepts(ip, port_of(b), listeners, SAMPLE), i);
		}
		address_of((sample[i] + 10) % LABELS, 7, ip);
		assert_int_equal(tcp_who_accepts(ip, 1000, listeners, SAMPLE), -ECONNREFUSED);
	}
	for (int i = 0; i < SAMPLE; i++)
		close(listeners[i]);
}

static void thousands_of_labels_fit_a_default_dispatcher(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	struct state_summary s;

	loader_ok("load", NULL);
	fill_dispatcher();
	s = state_check(ns);
	assert_int_equal(s.labels, LABELS);
	assert_int_equal(s.bindings, BINDINGS);
	sample_lookups();
}

static void is_refused_for_room(const struct netns_fixture *ns, const char *label)
{
	CLEANUP_FREE char *before = state_dump(ns->bpffs);
	CLEANUP(command_done) struct command_result r = { 0 };
	char text[64];

	r = loader("grant", label, "nobody", NULL);
	assert_int_equal(r.status, 1);
	assert_string_equal(r.out, "");
	snprintf(text, sizeof(text), "no room for label '%s'", label);
	assert_non_null(strstr(r.err, text));
	assert_non_null(strstr(r.err, "--max-destinations"));
	command_done(&r);
	r = loader("bind", label, "tcp", "10.0.0.1", "1", NULL);
	assert_int_equal(r.status, 1);
	assert_non_null(strstr(r.err, text));
	state_is_still(ns->bpffs, before);
}

/* One binding each: what has none goes. */
static void bind_all_labels(struct change *c)
{
	for (unsigned i = 0; i < ALL; i++) {
		char name[32], ip[INET_ADDRSTRLEN];
		struct isomer_binding b = { .domain = AF_INET,
					    .protocol = IPPROTO_UDP,
					    .prefixlen = 32,
					    .port_first = 1,
					    .port_last = 1 };

		label_name(i, name);
		b.destination = destinations_find(&c->destinations, name, AF_INET, IPPROTO_UDP)->id;
		address_of(i, 1, ip);
		assert_int_equal(inet_pton(AF_INET, ip, b.addr), 1);
		assert_int_equal(bindings_add(&c->bindings, &b), 0);
	}
	assert_int_equal(change_commit(c), 0);
}

static void the_label_beyond_the_room_is_refused(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP(change_end) struct change c = CHANGE_NONE;
	const char *more[] = { "one-more" };

	loader_ok("load", NULL);
	begin(&c);
	create_labels(&c, 0, ALL);
	assert_int_equal(labels_create(&c.d, &c.destinations, more, 1), -ENOSPC);
	assert_int_equal(c.destinations.n, ISOMER_DESTINATIONS_DEFAULT);
	bind_all_labels(&c);
	change_end(&c);
	assert_int_equal(state_check(ns).labels, ALL);
	is_refused_for_room(ns, "one-more");

	/* One that goes makes room. */
	loader_ok("unbind", "label-77.example", "udp", "127.1.77.1", "1", NULL);
	loader_ok("grant", "one-more", "nobody", NULL);
	assert_int_equal(state_check(ns).labels, ALL);
}

/* Dropping a destination waits for a grace period of the kernel, 15 ms and more; a change must not
 * wait for them one after another, with the lock in its hands. */
static void hundreds_of_labels_go_in_seconds(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP(change_end) struct change c = CHANGE_NONE;
	enum { GOING = 250 };
	double seconds;

	loader_ok("load", NULL);
	begin(&c);
	create_labels(&c, 0, GOING);
	seconds = -now();
	assert_int_equal(change_commit(&c), 0); /* none of them has a binding */
	seconds += now();
	print_message("%d labels gone: %.2f s\n", GOING, seconds);
	assert_int_equal(c.destinations.n, 0);
	change_end(&c);
	assert_int_equal(state_check(ns).labels, 0);
	assert_true(seconds < 5);
}

/* ---- more labels than descriptors ---- */

/* Of this process and of the commands that it starts. */
static void limit_descriptors(rlim_t limit)
{
	struct rlimit files;

	assert_return_code(getrlimit(RLIMIT_NOFILE, &files), errno);
	files.rlim_cur = limit;
	assert_return_code(setrlimit(RLIMIT_NOFILE, &files), errno);
}

static void labels_are_made_with_few_descriptors(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP(change_end) struct change c = CHANGE_NONE;

	loader_ok("load", NULL);
	begin(&c);
	limit_descriptors(ISOMER_DESTINATIONS_DEFAULT / 2);
	create_labels(&c, 0, ALL);
	bind_all_labels(&c);
	change_end(&c);
	assert_int_equal(state_check(ns).labels, ALL);
	loader_ok("upgrade", "--max-destinations", "16384", NULL);
	assert_int_equal(state_check(ns).labels, ALL);
}

/* The last of them is in the way of itself, when all others have been made. */
static void labels_are_made_all_or_none(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP(change_end) struct change c = CHANGE_NONE;
	CLEANUP_FREE char *before = NULL;
	char path[PATH_MAX], names[LABELS][32];
	const char *labels[LABELS];

	loader_ok("load", NULL);
	for (unsigned i = 0; i < LABELS; i++) {
		snprintf(names[i], sizeof(names[i]), "label-%04u", i);
		labels[i] = names[i];
	}
	/* Once without anything in the way, as ids that were never given look different. */
	begin(&c);
	assert_int_equal(labels_create(&c.d, &c.destinations, labels, LABELS), 0);
	assert_int_equal(change_commit(&c), 0);
	change_end(&c);
	before = state_dump(ns->bpffs);

	begin(&c);
	snprintf(path, sizeof(path), "%s/staging/%s", ns->state_dir, names[LABELS - 1]);
	assert_return_code(mkdir(path, 0700), errno);
	assert_int_equal(labels_create(&c.d, &c.destinations, labels, LABELS), -EEXIST);
	assert_int_equal(c.destinations.n, 0);
	change_end(&c);
	state_is_still(ns->bpffs, before);
	state_check(ns);
}

/* ---- churn ---- */

static void labels_come_and_go_without_end(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	double start = now();

	loader_ok("load", "--max-destinations", "64", NULL);
	for (unsigned i = 0; i < 200; i++) {
		CLEANUP(change_end) struct change c = CHANGE_NONE;
		char name[32];

		label_name(i, name);
		begin(&c); /* which drops the former */
		create_labels(&c, i, i + 1);
		assert_int_equal(c.destinations.n, DESTINATIONS_OF_LABEL);
	}
	print_message("200 labels one after another: %.2f s\n", now() - start);
	assert_int_equal(state_check(ns).labels, 1);

	/* As the operator does it. */
	for (unsigned i = 0; i < 20; i++) {
		char name[32];

		label_name(i, name);
		loader_ok("bind", name, "tcp", "127.0.0.2", "80", NULL);
		loader_ok("unbind", name, "tcp", "127.0.0.2", "80", NULL);
	}
	assert_int_equal(state_check(ns).labels, 0);
}

static void labels_whose_servers_died_make_room(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	loader_ok("load", "--max-destinations", "64", NULL);
	for (unsigned i = 0; i < 20; i++) {
		char name[32];

		label_name(i, name);
		close(register_listener(name, (uint16_t)(20000 + i)));
	}
	assert_int_equal(state_check(ns).labels, 1);
}

static void sixteen_labels_fit_64_destinations(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	char name[32], port[8];

	loader_ok("load", "--max-destinations", "67", NULL); /* three are no use to anybody */
	for (unsigned i = 0; i < 16; i++) {
		label_name(i, name);
		snprintf(port, sizeof(port), "%u", i + 1);
		loader_ok("bind", name, "tcp", "127.0.0.2", port, NULL);
	}
	assert_int_equal(state_check(ns).labels, 16);
	is_refused_for_room(ns, "one-more");
	loader_ok("bind", "label-3.example", "tcp", "127.0.0.3", "80", NULL); /* not a new one */
	loader_ok("unbind", "label-7.example", "tcp", "127.0.0.2", "8", NULL);
	loader_ok("bind", "one-more", "tcp", "127.0.0.2", "8", NULL);
	assert_int_equal(state_check(ns).labels, 16);
}

/* ---- ids that are given again ---- */

static uint32_t id_of(const struct netns_fixture *ns, const char *label)
{
	struct isomer_destination_key key;
	struct isomer_destination value;
	enum object_kind kind;
	CLEANUP_FD int fd = -1;
	char path[PATH_MAX];

	destination_key_init(&key, label, AF_INET, IPPROTO_TCP);
	snprintf(path, sizeof(path), "%s/" ISOMER_PIN_DESTINATIONS, ns->state_dir);
	fd = object_open(path, &kind);
	assert_return_code(fd, -fd);
	assert_int_equal(bpfsys_map_lookup(fd, &key, &value), 0);
	return value.id;
}

/* The line of a label in `status`: lookups and misses. */
static void counters_are(const char *label, unsigned lookups, unsigned misses)
{
	CLEANUP(command_done) struct command_result r = loader("status", label, NULL);
	const char *line = strstr(r.out, "\nDestinations:\n");
	unsigned seen_lookups, seen_misses;

	assert_int_equal(r.status, 0);
	assert_non_null(line);
	assert_int_equal(sscanf(line, "\nDestinations:\n %*[^\n]\n %*s %*s %*s %*s %u %u",
				&seen_lookups, &seen_misses),
			 2);
	assert_int_equal(seen_lookups, lookups);
	assert_int_equal(seen_misses, misses);
}

/* The fault of the reference: a server's traffic went to whom its label's id was given next. */
static void an_id_given_again_leads_to_nobody_else(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	uint32_t id, map;
	int listeners[2];

	loader_ok("load", "--max-destinations", "64", NULL);
	loader_ok("bind", "a", "tcp", "127.0.0.2", "80", NULL);
	listeners[0] = register_listener("a", 8080);
	assert_int_equal(tcp_who_accepts("127.0.0.2", 80, listeners, 1), 0);
	counters_are("a", 1, 0);
	id = id_of(ns, "a");
	map = state_map_id(ns, "labels/a/ipv4-tcp");

	loader_ok("unbind", "a", "tcp", "127.0.0.2", "80", NULL);
	close(listeners[0]);
	loader_ok("bind", "b", "tcp", "127.0.0.3", "80", NULL);
	assert_int_equal(id_of(ns, "b"), id); /* or this test is about nothing */
	assert_int_not_equal(state_map_id(ns, "labels/b/ipv4-tcp"), map);
	counters_are("b", 0, 0);

	listeners[0] = register_listener("a", 8080);
	assert_int_not_equal(id_of(ns, "a"), id);
	assert_int_equal(tcp_who_accepts("127.0.0.3", 80, listeners, 1), -ECONNREFUSED);
	counters_are("b", 1, 1);
	listeners[1] = register_listener("b", 8081);
	assert_int_equal(tcp_who_accepts("127.0.0.3", 80, listeners, 2), 1);
	assert_int_equal(state_check(ns).labels, 2);
	close(listeners[0]);
	close(listeners[1]);
}

/* The same for a server that has kept a descriptor of the slots that were its label's. */
static void slots_of_a_label_that_went_lead_nowhere(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FD int slots = -1, listener = -1;
	struct isomer_state st;

	loader_ok("load", "--max-destinations", "64", NULL);
	loader_ok("bind", "a", "tcp", "127.0.0.2", "80", NULL);
	assert_int_equal(isomer_state_open(ns->bpffs, ns->netns_inode, &st), 0);
	assert_int_equal(isomer_slots_open(&st, "a", AF_INET, IPPROTO_TCP, &slots), 0);
	assert_int_equal(isomer_slots_check(&st, "a", AF_INET, IPPROTO_TCP, slots), 0);
	loader_ok("unbind", "a", "tcp", "127.0.0.2", "80", NULL);
	assert_int_equal(isomer_slots_check(&st, "a", AF_INET, IPPROTO_TCP, slots), -ENOENT);
	loader_ok("bind", "b", "tcp", "127.0.0.3", "80", NULL);
	loader_ok("bind", "a", "tcp", "127.0.0.2", "80", NULL);
	assert_int_equal(isomer_slots_check(&st, "a", AF_INET, IPPROTO_TCP, slots), -ESTALE);

	listener = tcp_listen("127.0.0.1", 8080);
	assert_int_equal(
		isomer_slots_put(slots, listener, net_cookie(listener), ISOMER_PLACE_CURRENT, NULL),
		0);
	assert_int_equal(tcp_connect("127.0.0.2", 80), -ECONNREFUSED);
	assert_int_equal(tcp_connect("127.0.0.3", 80), -ECONNREFUSED);
	state_check(ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(thousands_of_labels_fit_a_default_dispatcher),
		netns_test(the_label_beyond_the_room_is_refused),
		netns_test(hundreds_of_labels_go_in_seconds),
		netns_test(labels_are_made_with_few_descriptors),
		netns_test(labels_are_made_all_or_none),
		netns_test(labels_come_and_go_without_end),
		netns_test(labels_whose_servers_died_make_room),
		netns_test(sixteen_labels_fit_64_destinations),
		netns_test(an_id_given_again_leads_to_nobody_else),
		netns_test(slots_of_a_label_that_went_lead_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
