/* SPDX-License-Identifier: BSD-3-Clause */
/* load-bindings: a file becomes what is in force, whole or not at all. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/operator.h"
#include "state/bpfsys.h"
#include "state/cleanup.h"
#include "support/bpf_objects.h"
#include "support/net.h"
#include "support/netns.h"
#include "support/ruleset_model.h"
#include "support/state_checker.h"

#define LEN(array) (sizeof(array) / sizeof(*(array)))

#define ENTRY(fields) "{\"bindings\": [{" fields "}]}"
#define FOO           "\"label\": \"foo\", \"prefix\": \"127.0.0.1\", \"port\": 80"

static void loads(const char *text, const char *expected_stdout)
{
	struct command_result r = operator_load_bindings(NULL, text, strlen(text));

	operator_printed(&r, 0, expected_stdout, NULL);
}

static void bindings_are(const char *expected)
{
	struct command_result r = loader("bindings", "--json", NULL);
	CLEANUP_FREE char *got = NULL;

	assert_int_equal(r.status, 0);
	got = operator_json(r.out, "' '.join('{label}#{protocol}:{prefix}:{port}:{miss}'."
				   "format(**b) for b in d['bindings'])");
	assert_string_equal(got, expected);
	command_done(&r);
}

/* ---- what is read ---- */

static void entries_of_the_reference_are_for_tcp_and_udp(void **state)
{
	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	loads("{\"bindings\":[{\"label\":\"foo\",\"prefix\":\"127.0.0.1\",\"port\":80},\n"
	      "{\"port\":0,\"label\":\"bar\",\"prefix\":\"2001:db8::/64\"}]}\n",
	      "added foo#tcp:[127.0.0.1/32]:80\n"
	      "added bar#tcp:[2001:db8::/64]:0\n"
	      "added foo#udp:[127.0.0.1/32]:80\n"
	      "added bar#udp:[2001:db8::/64]:0\n");
	bindings_are("foo#tcp:127.0.0.1/32:80:drop bar#tcp:2001:db8::/64:0:drop "
		     "foo#udp:127.0.0.1/32:80:drop bar#udp:2001:db8::/64:0:drop");
}

static void protocol_range_and_miss_may_be_given(void **state)
{
	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	loads(ENTRY(FOO ", \"protocol\": \"udp\", \"miss\": \"pass\""),
	      "added foo#udp:[127.0.0.1/32]:80\n");
	bindings_are("foo#udp:127.0.0.1/32:80:pass");
	loads(ENTRY("\"miss\": \"drop\", \"label\": \"foo\", \"protocol\": \"tcp\", "
		    "\"prefix\": \"127.0.0.0/8\", \"port\": \"80-90\""),
	      "added foo#tcp:[127.0.0.0/8]:80-90\n"
	      "removed foo#udp:[127.0.0.1/32]:80\n");
	bindings_are("foo#tcp:127.0.0.0/8:80-90:drop");
	/* Escapes mean what they mean. */
	loads(ENTRY("\"l\\u0061bel\": \"f\\u006fo\", \"protocol\": \"tcp\", "
		    "\"prefix\": \"::1\\/128\", \"port\": \"8080\""),
	      "added foo#tcp:[::1/128]:8080\n"
	      "removed foo#tcp:[127.0.0.0/8]:80-90\n");
}

static void bits_behind_the_prefix_are_cleared_and_said(void **state)
{
	const char *text = ENTRY("\"label\": \"foo\", \"prefix\": \"127.0.0.1/8\", \"port\": 80, "
				 "\"protocol\": \"tcp\"");
	struct command_result r;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	r = operator_load_bindings(NULL, text, strlen(text));
	operator_printed(&r, 0, "added foo#tcp:[127.0.0.0/8]:80\n",
			 ": 1 entries have bits set behind their prefix length");
}

static void an_empty_list_removes_everything(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	operator_load_kept();
	loads("{\"bindings\":[]}", "removed kept#tcp:[127.9.0.0/16]:9\n");
	assert_int_equal(state_check(ns).labels, 0);
	loads("{\"bindings\":[]}", "");
}

static void traffic_goes_where_the_file_says(void **state)
{
	CLEANUP_FD int registered = -1, wildcard = -1;
	int both[2];

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	registered = both[0] = tcp_listen("127.0.0.1", 7000);
	wildcard = both[1] = tcp_listen("0.0.0.0", 82);
	assert_true(registered >= 0 && wildcard >= 0);
	loads("{\"bindings\":["
	      "{\"label\":\"foo\",\"prefix\":\"127.1.0.0/16\",\"port\":\"80-82\"},"
	      "{\"label\":\"pass\",\"prefix\":\"127.2.0.0/16\",\"port\":0,\"miss\":\"pass\"},"
	      "{\"label\":\"drop\",\"prefix\":\"127.3.0.0/16\",\"port\":0}]}",
	      "added foo#tcp:[127.1.0.0/16]:80-82\n"
	      "added pass#tcp:[127.2.0.0/16]:0\nadded drop#tcp:[127.3.0.0/16]:0\n"
	      "added foo#udp:[127.1.0.0/16]:80-82\n"
	      "added pass#udp:[127.2.0.0/16]:0\nadded drop#udp:[127.3.0.0/16]:0\n");
	loader_register(getpid(), "foo", "tcp", "127.0.0.1", 7000);
	assert_int_equal(tcp_who_accepts("127.1.2.3", 82, both, 2), 0);
	assert_int_equal(tcp_who_accepts("127.1.2.3", 83, both, 2), -ECONNREFUSED);
	assert_int_equal(tcp_who_accepts("127.2.2.3", 82, both, 2), 1);
	assert_int_equal(tcp_who_accepts("127.3.2.3", 82, both, 2), -ECONNREFUSED);
}

/* ---- what is said ---- */

#define OLD                                                                                        \
	"{\"bindings\": ["                                                                         \
	"{\"label\": \"a\", \"prefix\": \"10.0.0.1\", \"port\": 80, \"protocol\": \"tcp\"},"       \
	"{\"label\": \"a\", \"prefix\": \"10.0.0.2\", \"port\": 80, \"protocol\": \"tcp\"},"       \
	"{\"label\": \"a\", \"prefix\": \"10.0.0.3\", \"port\": 80, \"protocol\": \"tcp\"},"       \
	"{\"label\": \"a\", \"prefix\": \"10.0.0.4\", \"port\": 80, \"protocol\": \"tcp\"}]}"
/* One stays, one changes its label, one its policy, one goes, one comes. */
#define NEW                                                                                        \
	"{\"bindings\": ["                                                                         \
	"{\"label\": \"c\", \"prefix\": \"fd00::/8\", \"port\": \"1-9\", \"protocol\": \"udp\"},"  \
	"{\"label\": \"a\", \"prefix\": \"10.0.0.1\", \"port\": 80, \"protocol\": \"tcp\"},"       \
	"{\"label\": \"b\", \"prefix\": \"10.0.0.2\", \"port\": 80, \"protocol\": \"tcp\"},"       \
	"{\"label\": \"a\", \"prefix\": \"10.0.0.3\", \"port\": 80, \"protocol\": \"tcp\","        \
	" \"miss\": \"pass\"}]}"
#define DIFFERENCE                                                                                 \
	"added b#tcp:[10.0.0.2/32]:80\n"                                                           \
	"added a#tcp:[10.0.0.3/32]:80\n"                                                           \
	"added c#udp:[fd00::/8]:1-9\n"                                                             \
	"removed a#tcp:[10.0.0.2/32]:80\n"                                                         \
	"removed a#tcp:[10.0.0.3/32]:80\n"                                                         \
	"removed a#tcp:[10.0.0.4/32]:80\n"

static void what_changes_is_printed_and_nothing_else(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	loader_ok(OPERATOR_LOAD, NULL);
	loads(OLD, "added a#tcp:[10.0.0.1/32]:80\nadded a#tcp:[10.0.0.2/32]:80\n"
		   "added a#tcp:[10.0.0.3/32]:80\nadded a#tcp:[10.0.0.4/32]:80\n");
	loads(NEW, DIFFERENCE);
	bindings_are("a#tcp:10.0.0.1/32:80:drop b#tcp:10.0.0.2/32:80:drop "
		     "a#tcp:10.0.0.3/32:80:pass c#udp:fd00::/8:1-9:drop");
	assert_int_equal(state_check(ns).labels, 3);
	loads(NEW, "");
}

static void dry_run_prints_the_same_and_changes_nothing(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *before = NULL;
	struct command_result r;

	loader_ok(OPERATOR_LOAD, NULL);
	r = operator_load_bindings(NULL, OLD, strlen(OLD));
	operator_said(&r, 0, NULL);
	before = state_dump(ns->bpffs);
	r = operator_load_bindings("--dry-run", NEW, strlen(NEW));
	operator_printed(&r, 0, DIFFERENCE, NULL);
	state_is_still(ns->bpffs, before);
	r = operator_load_bindings("--dry-run", "null", 4);
	operator_printed(&r, 1, "", "null where none belongs");
	state_is_still(ns->bpffs, before);
	loads(NEW, DIFFERENCE);
}

static void the_set_in_force_changes_nothing(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *before = NULL;

	loader_ok(OPERATOR_LOAD, NULL);
	loads(NEW, "added a#tcp:[10.0.0.1/32]:80\nadded b#tcp:[10.0.0.2/32]:80\n"
		   "added a#tcp:[10.0.0.3/32]:80\nadded c#udp:[fd00::/8]:1-9\n");
	before = state_dump(ns->bpffs);
	loads(NEW, "");
	state_is_still(ns->bpffs, before);
}

/* ---- round trips ---- */

/* What `bindings --json` prints is what load-bindings takes: here, and where nothing is yet. */
static void check_round_trip(const struct netns_fixture *ns)
{
	CLEANUP_FREE char *before = state_dump(ns->state_dir);
	struct command_result printed = loader("bindings", "--json", NULL), again, r;

	assert_int_equal(printed.status, 0);
	r = operator_shell(0, "\"$0\" bindings --json | \"$0\" load-bindings -", NULL);
	operator_printed(&r, 0, "", NULL);
	state_is_still(ns->state_dir, before);

	loader_ok("unload", NULL);
	loader_ok(OPERATOR_LOAD, NULL);
	r = operator_load_bindings(NULL, printed.out, strlen(printed.out));
	operator_said(&r, 0, NULL);
	again = loader("bindings", "--json", NULL);
	assert_string_equal(again.out, printed.out);
	command_done(&again);
	command_done(&printed);
}

static void bindings_of_every_kind_round_trip(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	loader_ok(OPERATOR_LOAD, NULL);
	check_round_trip(ns); /* none */
	loader_ok("bind", "a.b-c_d@e:f+g", "tcp", "127.0.0.1", "80", NULL);
	loader_ok("bind", "foo", "udp", "0.0.0.0/0", "0", NULL);
	loader_ok("bind", "foo", "tcp", "::/0", "1-65535", NULL);
	loader_ok("bind", "foo", "tcp", "::/0", "0", NULL);
	loader_ok("bind", "--miss", "pass", "foo", "udp", "2001:db8::/33", "65535", NULL);
	loader_ok("bind", "--miss", "pass", "bar", "udp", "10.0.0.0/9", "27000-27100", NULL);
	loader_ok("bind", "bar", "udp", "10.0.0.0/9", "27000-27101", NULL);
	check_round_trip(ns);
}

#define RANDOM_BINDINGS 5000

/* One entry, written as `bindings --json` writes it; the first bits are of this entry alone. */
static void print_random_entry(FILE *out, struct model_random *random, unsigned i)
{
	bool wide = model_random(random, 2);
	unsigned len = 16 + model_random(random, wide ? 113 : 17);
	unsigned first = 1 + model_random(random, 65535);
	unsigned last = first + model_random(random, 65536 - first);
	uint8_t addr[16] = { (uint8_t)(1 + (i >> 8)), (uint8_t)i };
	char text[INET6_ADDRSTRLEN], port[16];

	for (unsigned bit = 16; bit < len; bit++)
		addr[bit / 8] |= (uint8_t)(model_random(random, 2) << (7 - bit % 8));
	inet_ntop(wide ? AF_INET6 : AF_INET, addr, text, sizeof(text));
	switch (model_random(random, 3)) {
	case 0:
		snprintf(port, sizeof(port), "0");
		break;
	case 1:
		snprintf(port, sizeof(port), "%u", first);
		break;
	default:
		snprintf(port, sizeof(port), first == last ? "%u" : "\"%u-%u\"", first, last);
	}
	fprintf(out,
		"%s{\"label\": \"label%u\", \"protocol\": \"%s\", \"prefix\": \"%s/%u\", "
		"\"port\": %s, \"miss\": \"%s\"}",
		i ? ",\n" : "", model_random(random, 12), model_random(random, 2) ? "udp" : "tcp",
		text, len, port, model_random(random, 2) ? "pass" : "drop");
}

static void random_bindings_round_trip(void **state)
{
	static const char sorted[] = "sorted(json.dumps(b, sort_keys=True) for b in d['bindings'])";
	struct netns_fixture *ns = netns_or_skip(state);
	struct model_random random = model_random_make(3);
	CLEANUP_FREE char *text = NULL, *expected = NULL;
	struct command_result r;
	size_t size = 0, lines = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	fprintf(out, "{\"bindings\": [");
	for (unsigned i = 0; i < RANDOM_BINDINGS; i++)
		print_random_entry(out, &random, i);
	fprintf(out, "]}");
	assert_int_equal(fclose(out), 0);

	loader_ok(OPERATOR_LOAD, NULL);
	r = operator_load_bindings(NULL, text, size);
	for (const char *line = r.out; (line = strstr(line, "added label")); line++)
		lines++;
	assert_int_equal(lines, RANDOM_BINDINGS);
	operator_said(&r, 0, NULL);
	expected = operator_json(text, sorted);
	r = loader("bindings", "--json", NULL);
	operator_json_is(r.out, sorted, expected);
	command_done(&r);
	check_round_trip(ns);
	assert_int_equal(state_check(ns).bindings, RANDOM_BINDINGS);
}

/* ---- in one step ---- */

#define SWAPS        50
#define PREFIXES     100
#define PAIRS_NEEDED 100

/* A client that asks two addresses of different labels, one after the other, all the time. */
struct client {
	int ruleset;      /* the map whose only entry is the index in force */
	int listeners[2]; /* of the labels */
	atomic_bool stop;
	unsigned pairs, mixed; /* asked while one index was in force; answered by one label */
	int error;
};

static void *client_main(void *arg)
{
	struct client *c = arg;
	uint32_t zero = 0, before, after;

	while (!atomic_load(&c->stop) && c->error == 0) {
		int even, odd;

		c->error = bpfsys_map_lookup(c->ruleset, &zero, &before);
		even = tcp_who_accepts("127.1.42.1", 80, c->listeners, 2);
		odd = tcp_who_accepts("127.1.57.1", 80, c->listeners, 2);
		if (even < 0 || odd < 0)
			c->error = even < 0 ? even : odd;
		if (c->error == 0)
			c->error = bpfsys_map_lookup(c->ruleset, &zero, &after);
		if (c->error == 0 && before == after) {
			c->pairs++;
			c->mixed += even == odd;
		}
	}
	return NULL;
}

/* Even prefixes have @even, odd ones the other of two labels. */
static int swap_file(int even)
{
	CLEANUP_FREE char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	fprintf(out, "{\"bindings\": [");
	for (int i = 0; i < PREFIXES; i++)
		fprintf(out,
			"%s{\"label\": \"label%d\", \"prefix\": \"127.1.%d.0/24\", \"port\": 80}",
			i ? "," : "", (i + even) % 2, i);
	fprintf(out, "]}");
	assert_int_equal(fclose(out), 0);
	return operator_file(text, size);
}

/* What went wrong while the client was running: only once it has ended may the test fail. */
static char *wrong_document;

/* Loads a file, and reads what is bound until that is done: always one of the two whole sets.
 * Returns how often it has read, 0 if something went wrong. */
static unsigned load_under_readers(int file, char *const sets[2])
{
	const char *argv[] = { loader_path(), "load-bindings", OPERATOR_FILE, NULL };
	struct process *writer =
		process_start(&(struct process_options){ .argv = argv, .pass_fd = file });
	unsigned reads = 0;

	for (bool done = false; !done && !wrong_document; reads++) {
		struct command_result r = loader("bindings", "--json", NULL);

		if (strcmp(r.out, sets[0]) != 0 && strcmp(r.out, sets[1]) != 0)
			wrong_document = TAKE_PTR(r.out);
		command_done(&r);
		done = strstr(process_stdout(writer), "removed") || *process_stderr(writer);
	}
	return process_stop(writer, 0) == 0 && !wrong_document ? reads : 0;
}

static void register_labels(const int listeners[2])
{
	for (int i = 0; i < 2; i++) {
		assert_true(listeners[i] >= 0);
		loader_register(getpid(), i ? "label1" : "label0", "tcp", "127.0.0.1",
				net_local_port(listeners[i]));
	}
}

/* False if something went wrong. */
static bool swap_labels(const int files[2], char *const sets[2])
{
	unsigned reads = 0, more = 1;

	for (int swap = 0; swap < SWAPS && more; swap++) {
		more = load_under_readers(files[(swap + 1) % 2], sets);
		reads += more;
	}
	print_message("%u reads during %d swaps\n", reads, SWAPS);
	return more;
}

/* Loads a file, and returns the document that readers get now. */
static char *load_and_print(int file)
{
	struct command_result r = operator_shell(
		file, "\"$0\" load-bindings " OPERATOR_FILE " >&2 && \"$0\" bindings --json", NULL);
	char *document = TAKE_PTR(r.out);

	assert_int_equal(r.status, 0);
	command_done(&r);
	return document;
}

static void a_new_set_takes_force_in_one_step(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	int files[2] = { swap_file(0), swap_file(1) };
	struct client c = { .stop = false };
	char path[PATH_MAX], *sets[2];
	pthread_t thread;
	bool swapped;

	for (int i = 0; i < 2; i++)
		c.listeners[i] = tcp_listen("127.0.0.1", (uint16_t)(7000 + i));
	loader_ok(OPERATOR_LOAD, NULL);
	for (int i = 1; i >= 0; i--)
		sets[i] = load_and_print(files[i]);
	register_labels(c.listeners);
	snprintf(path, sizeof(path), "%s/" ISOMER_PIN_RULESET, ns->state_dir);
	assert_int_equal(bpfsys_obj_get(path, BPF_F_RDONLY, &c.ruleset), 0);

	assert_int_equal(pthread_create(&thread, NULL, client_main, &c), 0);
	swapped = swap_labels(files, sets);
	atomic_store(&c.stop, true);
	pthread_join(thread, NULL);
	if (wrong_document)
		fail_msg("neither of the two sets:\n%s", wrong_document);
	assert_true(swapped);
	if (c.error)
		fail_msg("a client was not answered: %s", strerror(-c.error));
	print_message("%u pairs of connections\n", c.pairs);
	assert_int_equal(c.mixed, 0);
	assert_in_range(c.pairs, PAIRS_NEEDED, UINT32_MAX);
	state_check(ns);

	close(c.ruleset);
	for (int i = 0; i < 2; i++) {
		close(c.listeners[i]);
		close(files[i]);
		free(sets[i]);
	}
}

/* ---- sets of more than one page ---- */

#define HOSTS 20000

/* @n hosts with gaps between them, and the prefix around them. */
static int hosts_file(int label, unsigned n)
{
	CLEANUP_FREE char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	fprintf(out,
		"{\"bindings\": [{\"label\": \"label%d\", \"prefix\": \"127.2.0.0/16\", "
		"\"port\": 80}",
		label);
	for (unsigned i = 0; i < n; i++)
		fprintf(out, ",{\"label\": \"label%d\", \"prefix\": \"127.2.%u.%u\", \"port\": 80}",
			label, i / 125, i % 125 * 2);
	fprintf(out, "]}");
	assert_int_equal(fclose(out), 0);
	return operator_file(text, size);
}

/* Kernel's id of the map with the pages of the index in force; 0: there is none. */
static uint32_t pages_in_force(const struct netns_fixture *ns)
{
	uint32_t id = 0, found = 0;
	CLEANUP_FD int fd = -1;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" ISOMER_PIN_PAGES, ns->state_dir);
	assert_int_equal(bpfsys_obj_get(path, BPF_F_RDONLY, &fd), 0);
	for (uint32_t place = 0; place < ISOMER_PLACES; place++) {
		if (bpfsys_map_lookup(fd, &place, &found) < 0)
			continue;
		assert_int_equal(id, 0);
		id = found;
	}
	return id;
}

static void pages_of_a_former_set_are_let_go(void **state)
{
	static const char *const asked[] = { "127.2.0.0", "127.2.80.14", "127.2.159.248" };
	struct netns_fixture *ns = netns_or_skip(state);
	/* Large, large, small: of either label after each other. */
	int files[] = { hosts_file(0, HOSTS), hosts_file(1, HOSTS), hosts_file(0, 0) };
	int listeners[] = { tcp_listen("127.0.0.1", 7000), tcp_listen("127.0.0.1", 7001) };
	uint32_t former = 0, now;

	loader_ok(OPERATOR_LOAD, NULL);
	for (int i = 0; i < 2; i++)
		loader_ok("grant", i ? "label1" : "label0", "nobody", NULL);
	register_labels(listeners);
	for (int i = 0; i < 9; i++) {
		int kind = i % 3, label = kind == 1;

		free(load_and_print(files[kind]));
		for (size_t j = 0; j < sizeof(asked) / sizeof(*asked); j++)
			assert_int_equal(tcp_who_accepts(asked[j], 80, listeners, 2), label);
		assert_int_equal(state_check(ns).bindings,
				 2 * (kind == 2 ? 1 : HOSTS + 1)); /* TCP and UDP */
		now = pages_in_force(ns);
		assert_int_equal(now != 0, kind != 2);
		assert_int_not_equal(now, former ? former : UINT32_MAX);
		if (former)
			assert_int_equal(object_open_id(OBJECT_MAP, former), -ENOENT);
		former = now;
	}

	for (int i = 0; i < 2; i++)
		close(listeners[i]);
	for (int i = 0; i < 3; i++)
		close(files[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(entries_of_the_reference_are_for_tcp_and_udp),
		netns_test(protocol_range_and_miss_may_be_given),
		netns_test(bits_behind_the_prefix_are_cleared_and_said),
		netns_test(an_empty_list_removes_everything),
		netns_test(traffic_goes_where_the_file_says),
		netns_test(what_changes_is_printed_and_nothing_else),
		netns_test(dry_run_prints_the_same_and_changes_nothing),
		netns_test(the_set_in_force_changes_nothing),
		netns_test(bindings_of_every_kind_round_trip),
		netns_test(random_bindings_round_trip),
		netns_test(a_new_set_takes_force_in_one_step),
		netns_test(pages_of_a_former_set_are_let_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
