/* SPDX-License-Identifier: BSD-3-Clause */
/* --json: one document with stable keys, whatever happens. */
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

#include "integration/operator.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"
#include "support/state_checker.h"

#define LEN(array) (sizeof(array) / sizeof(*(array)))

#define ARGS 10

/* Runs the loader with the arguments up to a NULL; with --json before or behind them. */
static struct command_result run_json(const char *const args[ARGS], bool before)
{
	const char *argv[ARGS + 3] = { loader_path() };
	size_t n = 1;

	if (before)
		argv[n++] = "--json";
	for (size_t i = 0; i < ARGS && args[i]; i++)
		argv[n++] = args[i];
	if (!before)
		argv[n++] = "--json";
	return command_run(&(struct process_options){ .argv = argv });
}

static void print_command(const char *const args[ARGS])
{
	for (size_t i = 0; i < ARGS && args[i]; i++)
		print_error("'%s' ", args[i]);
	print_error("with --json:\n");
}

/* ---- what goes well ---- */

#define BINDING_KEYS                                                                               \
	"bindings bindings[].label bindings[].protocol bindings[].prefix bindings[].port "         \
	"bindings[].miss"
#define OVERVIEW_KEYS                                                                              \
	"destinations destinations[].label destinations[].domain destinations[].protocol "         \
	"destinations[].bindings destinations[].socket destinations[].slots "                      \
	"destinations[].lookups destinations[].misses destinations[].errors "                      \
	"destinations[].errors.bad_socket destinations[].errors.other_program "                    \
	"destinations[].slots[].slot destinations[].slots[].socket "                               \
	"grants grants[].label grants[].user grants[].group"

/* The keys that scripts may count on, in their order. */
static const struct {
	const char *args[ARGS];
	const char *keys;
} commands[] = {
	{ { "version" }, "version schema libbpf" },
	{ { "bindings" }, BINDING_KEYS },
	{ { "bindings", "--label", "foo" }, BINDING_KEYS },
	{ { "status" }, BINDING_KEYS " " OVERVIEW_KEYS " attachments unregistered" },
	{ { "metrics", "--once" }, OVERVIEW_KEYS " watched_file" },
	{ { "explain", "tcp", "127.1.2.3", "80" },
	  "outcome binding binding.text binding.label binding.miss beats beats[].text "
	  "beats[].label beats[].miss beats[].beaten_because destination id slots slots[].slot "
	  "slots[].socket slots[].pid slots[].program kernel kernel.verdict kernel.socket "
	  "kernel.judgement" },
	{ { "explain", "tcp", "::1", "80", "from", "::1", "9" },
	  "outcome connected beats slots kernel kernel.verdict kernel.socket kernel.judgement" },
};

/* A state in which no list is empty, but those of attachments and of unregistered servers: see
 * test_attach and test_strays. */
static int load_all(void)
{
	int listener = tcp_listen("127.0.0.1", 7000);

	assert_return_code(listener, -listener);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "bar", "udp", "fd00::/8", "1-9", NULL);
	loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
	loader_ok("bind", "bar", "tcp", "127.0.0.0/8", "0", NULL);
	loader_ok("grant", "bar", "65534:65534", NULL);
	loader_register(getpid(), "foo", "tcp", "127.0.0.1", 7000);
	return listener;
}

/* The keys, without doubles, in the order of the first that has them. */
static void has_keys(const char *document, const char *keys)
{
	CLEANUP_FREE char *got = operator_json(document, "' '.join(sorted(keys(d).split()))");
	char expression[2048];
	CLEANUP_FREE char *expected = NULL;

	snprintf(expression, sizeof(expression), "' '.join(sorted('%s'.split()))", keys);
	expected = operator_json(document, expression);
	assert_string_equal(got, expected);
}

static void nouns_print_stable_keys(void **state)
{
	CLEANUP_FD int listener = -1;

	(void)netns_or_skip(state);
	listener = load_all();
	for (size_t i = 0; i < LEN(commands); i++) {
		CLEANUP(command_done) struct command_result before = { 0 };
		struct command_result r = run_json(commands[i].args, false);

		has_keys(r.out, commands[i].keys);
		before = run_json(commands[i].args, true);
		assert_int_equal(before.status, 0);
		assert_string_equal(before.out, r.out);
		operator_said(&r, 0, NULL);
	}
}

static void empty_lists_are_there(void **state)
{
	struct command_result r;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	r = loader("status", "--json", NULL);
	operator_json_is(
		r.out, "d",
		"{'bindings': [], 'destinations': [], 'grants': [], 'attachments': [], 'unregistered': []}");
	operator_said(&r, 0, NULL);
	r = loader("bindings", "--json", "--label", "nobody", NULL);
	operator_json_is(r.out, "d", "{'bindings': []}");
	operator_said(&r, 0, NULL);
	r = loader("metrics", "--once", "--json", NULL);
	operator_json_is(r.out, "d", "{'destinations': [], 'grants': [], 'watched_file': None}");
	operator_said(&r, 0, NULL);
}

static void values_have_their_types(void **state)
{
	CLEANUP_FD int listener = -1;
	struct command_result r;
	char expected[512];

	(void)netns_or_skip(state);
	listener = load_all();
	r = loader("status", "--json", NULL);
	operator_json_is(r.out, "[b['port'] for b in d['bindings']]", "[80, 0, '1-9']");
	snprintf(expected, sizeof(expected),
		 "{'label': 'foo', 'domain': 'ipv4', 'protocol': 'tcp', 'bindings': 1, "
		 "'socket': 'sk:%1$llx', 'slots': [{'slot': 0, 'socket': 'sk:%1$llx'}, "
		 "{'slot': 1, 'socket': 'sk:%1$llx'}], 'lookups': 0, 'misses': 0, "
		 "'errors': {'bad_socket': 0, 'other_program': 0}}",
		 (unsigned long long)net_cookie(listener));
	operator_json_is(r.out, "[v for v in d['destinations'] if v['label'] == 'foo'][0]",
			 expected);
	operator_json_is(r.out, "[v['socket'] for v in d['destinations'] if v['label'] == 'bar']",
			 "[None, None]");
	operator_json_is(r.out, "d['grants'][0]['label'], d['grants'][0]['user'] != ''",
			 "('bar', True)");
	operator_said(&r, 0, NULL);
	r = loader("version", "--json", NULL);
	operator_json_is(r.out, "type(d['version']), type(d['schema'])",
			 "(<class 'str'>, <class 'int'>)");
	operator_said(&r, 0, NULL);
}

/* ---- what goes wrong ---- */

/* The document of an error is the line on stderr, as the same command says it without --json. */
static void fails(const char *const args[ARGS], bool before, int status)
{
	struct command_result r = run_json(args, before);
	CLEANUP_FREE char *line = NULL;

	if (r.status != status || strncmp(r.out, "{", 1) != 0) {
		print_command(args);
		fail_msg("exit status %d, should be %d, and one document:\n%s%s", r.status, status,
			 r.out, r.err);
	}
	operator_json_is(r.out, "keys(d)", "error error.message error.errno");
	operator_json_is(r.out, "type(d['error']['errno'])",
			 status == 2 ? "<class 'NoneType'>" : "<class 'int'>");
	line = operator_json(r.out, "'isomer-loader: ' + d['error']['message'] + '\\n'");
	assert_string_equal(line, r.err);
	operator_said(&r, status, "isomer-loader: ");
}

static void failures_are_documents_too(void **state)
{
	static const char *const without[][ARGS] = {
		{ "status" },
		{ "bindings" },
		{ "metrics", "--once" },
		{ "explain", "tcp", "127.0.0.1", "80" },
	};
	static const char *const unknown_label[ARGS] = { "status", "nosuch" };
	static const char *const no_netns[ARGS] = { "--netns", "/nonexistent", "status" };
	struct command_result r;

	(void)netns_or_skip(state);
	for (size_t i = 0; i < LEN(without); i++) {
		fails(without[i], false, 1);
		fails(without[i], true, 1);
	}
	fails(no_netns, false, 1);
	r = loader("--json", "status", NULL);
	operator_json_is(r.out, "d['error']['errno']", "2"); /* ENOENT */
	operator_said(&r, 1, "no dispatcher is loaded");
	loader_ok(OPERATOR_LOAD, NULL);
	fails(unknown_label, false, 1);
}

static void wrong_usage_is_a_document_too(void **state)
{
	static const char *const wrong[][ARGS] = {
		{ "status", "a", "b" },
		{ "status", "fo o" },
		{ "status", "a\nb" },
		{ "version", "x" },
		{ "bindings", "--port", "http" },
		{ "bindings", "--protocol", "sctp" },
		{ "bindings", "--nosuch" },
		{ "bindings", "--label" }, /* its value: with --json behind, that is */
		{ "explain", "tcp", "127.0.0.1" },
		{ "explain", "tcp", "127.0.0.1", "80", "from", "::1", "80" },
		{ "metrics", "--once", "127.0.0.1" },
		{ "metrics", "127.0.0.1", "8000" }, /* HTTP has its own format */
		{ "metrics" },
		{ "--wait", "x", "status" },
		{ "--nosuch", "status" },
		{ "nosuch" },
		{ NULL },
	};

	(void)state;
	for (size_t i = 0; i < LEN(wrong); i++) {
		bool takes_it = wrong[i][1] && !strcmp(wrong[i][1], "--label");

		if (!takes_it)
			fails(wrong[i], false, 2);
		fails(wrong[i], true, 2);
	}
}

static void what_is_not_utf8_does_not_break_the_document(void **state)
{
	static const char *const wrong[][ARGS] = {
		{ "status", "\377" },
		{ "status", "a\303" },
		{ "bindings", "--ip", "\200.0.0.1" },
		{ "\376" },
	};

	(void)state;
	for (size_t i = 0; i < LEN(wrong); i++) {
		struct command_result r = run_json(wrong[i], true);

		operator_json_is(r.out, "keys(d)", "error error.message error.errno");
		assert_int_equal(r.status, 2);
		command_done(&r);
	}
}

/* Verbs print what they did in lines; nothing is done for a caller who expects a document. */
static void verbs_refuse(void **state)
{
	static const char *const verbs[][ARGS] = {
		{ "load" },
		{ "unload" },
		{ "upgrade" },
		{ "bind", "foo", "tcp", "127.0.0.1", "80" },
		{ "unbind", "foo", "tcp", "127.1.0.0/16", "80" },
		{ "load-bindings", "/dev/null" },
		{ "register", "foo" },
		{ "register-pid", "1", "foo", "tcp", "127.0.0.1", "80" },
		{ "unregister", "foo", "ipv4", "tcp" },
		{ "grant", "foo", "65534" },
		{ "revoke", "bar" },
	};
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FD int listener = load_all();
	CLEANUP_FREE char *before = state_dump(ns->bpffs);

	for (size_t i = 0; i < LEN(verbs); i++) {
		struct command_result r;

		fails(verbs[i], true, 2);
		fails(verbs[i], false, 2);
		r = run_json(verbs[i], false);
		operator_said(&r, 2, " has no --json");
		state_is_still(ns->bpffs, before);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(nouns_print_stable_keys),
		netns_test(empty_lists_are_there),
		netns_test(values_have_their_types),
		netns_test(failures_are_documents_too),
		cmocka_unit_test(wrong_usage_is_a_document_too),
		cmocka_unit_test(what_is_not_utf8_does_not_break_the_document),
		netns_test(verbs_refuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
