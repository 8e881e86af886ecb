/* SPDX-License-Identifier: BSD-3-Clause */
/* Command lines that are refused: with one line that names the mistake, and nothing changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "integration/operator.h"
#include "state/cleanup.h"
#include "support/netns.h"
#include "support/process.h"
#include "support/state_checker.h"

#define LEN(array) (sizeof(array) / sizeof(*(array)))

/* A command line that is refused. */
struct refusal {
	const char *args[OPERATOR_ARGS_MAX];
	int status;
	const char *names; /* what the message must hold: the mistake itself, mostly */
};

#define FAILS 1
#define USAGE 2

#define A10  "aaaaaaaaaa"
#define A50  A10 A10 A10 A10 A10
#define A250 A50 A50 A50 A50 A50
#define A256 A250 "aaaaaa"
#define DOTS                                                                                       \
	"......................................................................................"

_Static_assert(sizeof(A256) == 257, "one byte more than a label may have");
_Static_assert(sizeof(DOTS) == 87, "one dot more than a file name may have");

#define BIND_PORT(port, names)                                                                     \
	{                                                                                          \
		{ "bind", "new", "tcp", "127.0.0.9", port }, USAGE, names                          \
	}
#define BIND_PREFIX(prefix, names)                                                                 \
	{                                                                                          \
		{ "bind", "new", "tcp", prefix, "80" }, USAGE, names                               \
	}
#define BIND_LABEL(label, names)                                                                   \
	{                                                                                          \
		{ "bind", label, "tcp", "127.0.0.9", "80" }, USAGE, names                          \
	}

static const struct refusal bad_ports[] = {
	BIND_PORT("65536", "'65536'"),
	BIND_PORT("99999999999999999999999", "'99999999999999999999999'"),
	BIND_PORT("-1", "-1"),
	BIND_PORT("-80", "-80"),
	BIND_PORT("8x", "'8x'"),
	BIND_PORT("x", "'x'"),
	BIND_PORT("http", "'http'"),
	BIND_PORT("", "''"),
	BIND_PORT(" 80", "' 80'"),
	BIND_PORT("80 ", "'80 '"),
	BIND_PORT("080", "'080'"),
	BIND_PORT("+80", "'+80'"),
	BIND_PORT("0x50", "'0x50'"),
	BIND_PORT("80.0", "'80.0'"),
	BIND_PORT("90-80", "'90-80'"),
	BIND_PORT("0-80", "'0-80'"),
	BIND_PORT("0-0", "'0-0'"),
	BIND_PORT("80-", "'80-'"),
	BIND_PORT("80-65536", "'80-65536'"),
	BIND_PORT("80-90-100", "'80-90-100'"),
	BIND_PORT("80,90", "'80,90'"),
	BIND_PORT("80-090", "'80-090'"),
	BIND_PORT("*", "'*'"),
};

static const struct refusal bad_prefixes[] = {
	BIND_PREFIX("127.0.0.0/33", "'127.0.0.0/33'"),
	BIND_PREFIX("::/129", "'::/129'"),
	BIND_PREFIX("127.0.0.0/-1", "'127.0.0.0/-1'"),
	BIND_PREFIX("127.0.0.0/", "'127.0.0.0/'"),
	BIND_PREFIX("127.0.0.0/08", "'127.0.0.0/08'"),
	BIND_PREFIX("127.0.0.0/8/8", "'127.0.0.0/8/8'"),
	BIND_PREFIX("127.0.0.0/255.0.0.0", "'127.0.0.0/255.0.0.0'"),
	BIND_PREFIX("127.0.0.1x", "'127.0.0.1x'"),
	BIND_PREFIX("127.0.0.1 ", "'127.0.0.1 '"),
	BIND_PREFIX("127.1", "'127.1'"),
	BIND_PREFIX("127.0.0.256", "'127.0.0.256'"),
	BIND_PREFIX("0127.0.0.1", "'0127.0.0.1'"),
	BIND_PREFIX("::ffff:127.0.0.1", "'::ffff:127.0.0.1'"),
	BIND_PREFIX("::ffff:0:0/96", "'::ffff:0:0/96'"),
	BIND_PREFIX("fe80::1%lo", "'fe80::1%lo'"),
	BIND_PREFIX("[::1]", "'[::1]'"),
	BIND_PREFIX("localhost", "'localhost'"),
	BIND_PREFIX("example.org", "'example.org'"),
	BIND_PREFIX("127.0.0.1\n", "'127.0.0.1"),
	BIND_PREFIX("*", "'*'"),
	BIND_PREFIX("", "''"),
	BIND_PREFIX("/8", "'/8'"),
};

static const struct refusal bad_labels[] = {
	BIND_LABEL("", "''"),
	BIND_LABEL("-", "'-'"),
	BIND_LABEL(A256, "too long"),
	BIND_LABEL(DOTS, "too long"),
	BIND_LABEL("a/b", "'a/b'"),
	BIND_LABEL("../../x", "'../../x'"),
	BIND_LABEL("a b", "'a b'"),
	BIND_LABEL("a\nb", "label"),
	BIND_LABEL("a\tb", "label"),
	BIND_LABEL("a\033[31mb", "label"),
	BIND_LABEL("a%2Eb", "'a%2Eb'"),
	BIND_LABEL("a*", "'a*'"),
	BIND_LABEL("a,b", "'a,b'"),
	BIND_LABEL("gr\xc3\xbc\xc3\x9f", "label"),
	{ { "unbind", "a/b", "tcp", "127.0.0.1", "80" }, USAGE, "'a/b'" },
	{ { "grant", "a/b", "nobody" }, USAGE, "'a/b'" },
	{ { "revoke", "a/b" }, USAGE, "'a/b'" },
	{ { "status", "a/b" }, USAGE, "'a/b'" },
	{ { "unregister", "a/b", "ipv4", "tcp" }, USAGE, "'a/b'" },
	{ { "register-pid", "1", "a/b", "tcp", "127.0.0.1", "80" }, USAGE, "'a/b'" },
	{ { "bindings", "--label", "a/b" }, USAGE, "'a/b'" },
};

static const struct refusal bad_words[] = {
	{ { NULL }, USAGE, "which command" },
	{ { "" }, USAGE, "unknown command ''" },
	{ { "isomer" }, USAGE, "unknown command 'isomer'" },
	{ { "Bind", "new", "tcp", "127.0.0.9", "80" }, USAGE, "unknown command 'Bind'" },
	{ { "bin" }, USAGE, "unknown command 'bin'" },
	{ { "a\nb" }, USAGE, "unknown command" },
	{ { "bind", "new", "sctp", "127.0.0.9", "80" }, USAGE, "'sctp'" },
	{ { "bind", "new", "TCP", "127.0.0.9", "80" }, USAGE, "'TCP'" },
	{ { "bind", "new", "tcpx", "127.0.0.9", "80" }, USAGE, "'tcpx'" },
	{ { "bind", "new", "", "127.0.0.9", "80" }, USAGE, "protocol ''" },
	{ { "bind", "new", "6", "127.0.0.9", "80" }, USAGE, "'6'" },
	{ { "unregister", "foo", "ipv5", "tcp" }, USAGE, "'ipv5'" },
	{ { "unregister", "foo", "ipv4", "icmp" }, USAGE, "'icmp'" },
	{ { "unregister", "foo", "tcp", "ipv4" }, USAGE, "'tcp'" },
	{ { "bind", "--miss", "refuse", "new", "tcp", "127.0.0.9", "80" }, USAGE, "'refuse'" },
	{ { "bind", "--miss", "", "new", "tcp", "127.0.0.9", "80" }, USAGE, "--miss ''" },
	{ { "grant", "foo", "no-such-user" }, USAGE, "'no-such-user'" },
	{ { "grant", "foo", "nobody:no-such-group" }, USAGE, "'no-such-group'" },
	{ { "grant", "foo", "" }, USAGE, "user ''" },
	{ { "grant", "foo", "nobody:" }, USAGE, "group ''" },
	{ { "grant", "foo", ":nogroup" }, USAGE, "user ''" },
	{ { "grant", "foo", "4294967295" }, USAGE, "'4294967295'" },
	{ { "grant", "foo", "-1" }, USAGE, "-1" },
	{ { "grant", "foo", "root" }, USAGE, "'root'" },
	{ { "load", "--group", "no-such-group" }, USAGE, "'no-such-group'" },
	{ { "register-pid", "0", "foo", "tcp", "127.0.0.1", "80" }, USAGE, "'0'" },
	{ { "register-pid", "-5", "foo", "tcp", "127.0.0.1", "80" }, USAGE, "-5" },
	{ { "register-pid", "1x", "foo", "tcp", "127.0.0.1", "80" }, USAGE, "'1x'" },
	{ { "register-pid", "1", "foo", "tcp", "127.0.0.0/8", "80" }, USAGE, "'127.0.0.0/8'" },
	{ { "register-pid", "1", "foo", "tcp", "127.0.0.1", "0" }, USAGE, "'0'" },
	{ { "register-pid", "1", "foo", "tcp", "127.0.0.1", "80-90" }, USAGE, "'80-90'" },
	{ { "bindings", "--ip", "localhost" }, USAGE, "'localhost'" },
	{ { "bindings", "--port", "65536" }, USAGE, "'65536'" },
	{ { "bindings", "--protocol", "icmp" }, USAGE, "'icmp'" },
	{ { "explain", "icmp", "127.0.0.1", "80" }, USAGE, "'icmp'" },
	{ { "explain", "tcp", "127.0.0.0/8", "80" }, USAGE, "'127.0.0.0/8'" },
	{ { "explain", "tcp", "127.0.0.1", "0" }, USAGE, "'0'" },
	{ { "explain", "tcp", "127.0.0.1", "80", "to", "127.0.0.1", "80" }, USAGE, "'to'" },
	{ { "metrics", "localhost", "8000" }, USAGE, "'localhost'" },
	{ { "metrics", "127.0.0.1", "80000" }, USAGE, "'80000'" },
};

static const struct refusal bad_counts[] = {
	{ { "bind" }, USAGE, "LABEL PROTOCOL PREFIX[/LEN] PORT" },
	{ { "bind", "new", "tcp", "127.0.0.9" }, USAGE, "3 operands were given" },
	{ { "bind", "new", "tcp", "127.0.0.9", "80", "90" }, USAGE, "5 operands were given" },
	{ { "unbind", "foo" }, USAGE, "1 operand was given" },
	{ { "load", "now" }, USAGE, "load takes no operands" },
	{ { "unload", "now" }, USAGE, "unload takes no operands" },
	{ { "version", "1" }, USAGE, "version takes no operands" },
	{ { "bindings", "foo" }, USAGE, "bindings takes no operands" },
	{ { "status", "foo", "bar" }, USAGE, "[LABEL]" },
	{ { "load-bindings" }, USAGE, "load-bindings takes FILE" },
	{ { "load-bindings", "a", "b" }, USAGE, "2 operands were given" },
	{ { "register-pid", "1", "foo", "tcp", "127.0.0.1" }, USAGE, "4 operands were given" },
	{ { "unregister", "foo", "ipv4" }, USAGE, "2 operands were given" },
	{ { "grant", "foo" }, USAGE, "USER" },
	{ { "revoke" }, USAGE, "LABEL" },
	{ { "revoke", "foo", "nobody" }, USAGE, "2 operands were given" },
	{ { "upgrade", "now" }, USAGE, "upgrade takes no operands" },
	{ { "explain", "tcp", "127.0.0.1" }, USAGE, "2 operands were given" },
	{ { "metrics", "127.0.0.1" }, USAGE, "ADDRESS PORT" },
};

static const struct refusal bad_options[] = {
	{ { "--frobnicate", "status" }, USAGE, "'--frobnicate'" },
	{ { "-x", "status" }, USAGE, "-x" },
	{ { "-xyz", "status" }, USAGE, "-xyz" },
	{ { "status", "--frobnicate" }, USAGE, "'--frobnicate'" },
	{ { "status", "-xyz" }, USAGE, "-xyz" },
	{ { "status", "--miss", "pass" }, USAGE, "'--miss'" },
	{ { "bind", "new", "tcp", "127.0.0.9", "80", "--force" }, USAGE, "'--force'" },
	/* Whole names only: a new option must not change what an old command line means. */
	{ { "bind", "--rep", "new", "tcp", "127.0.0.1", "80" }, USAGE, "'--rep'" },
	{ { "--bpf", "/sys/fs/bpf", "status" }, USAGE, "'--bpf'" },
	{ { "bind", "--replace=yes", "bar", "tcp", "127.0.0.1", "80" }, USAGE, "--replace" },
	{ { "status", "--help=yes" }, USAGE, "--help" },
	{ { "--netns" }, USAGE, "'--netns' needs a value" },
	{ { "-netns" }, USAGE, "netns' needs a value" },
	{ { "--bpffs" }, USAGE, "'--bpffs' needs a value" },
	{ { "bindings", "--label" }, USAGE, "'--label' needs a value" },
	{ { "bindings", "-ip" }, USAGE, "ip' needs a value" },
	{ { "bind", "new", "tcp", "127.0.0.9", "80", "--miss" }, USAGE, "'--miss' needs a value" },
	{ { "load", "--max-destinations" }, USAGE, "'--max-destinations' needs a value" },
	{ { "load", "--max-destinations", "0" }, USAGE, "'0'" },
	{ { "load", "--max-destinations", "3" }, USAGE, "'3'" },
	{ { "load", "--max-destinations", "-1" }, USAGE, "'-1'" },
	{ { "load", "--max-destinations", "1048577" }, USAGE, "'1048577'" },
	{ { "load", "--max-destinations", "many" }, USAGE, "'many'" },
	{ { "load", "--max-destinations", "" }, USAGE, "--max-destinations ''" },
	{ { "--wait", "soon", "status" }, USAGE, "'soon'" },
	{ { "--wait", "-1", "status" }, USAGE, "-1" },
	{ { "upgrade", "--max-destinations", "x" }, USAGE, "'x'" },
	{ { "--netns", "/nowhere", "status" }, FAILS, "'/nowhere'" },
	{ { "--netns", "", "status" }, FAILS, "namespace ''" },
	{ { "--netns", "/proc/self/ns/mnt", "status" }, FAILS, "'/proc/self/ns/mnt'" },
	{ { "--netns", "/etc/passwd", "status" }, FAILS, "'/etc/passwd'" },
	{ { "--netns", "/etc", "load" }, FAILS, "'/etc'" },
	{ { "--bpffs", "/nowhere", "status" }, FAILS, "/nowhere" },
	{ { "--bpffs", "/nowhere", "load" }, FAILS, "/nowhere" },
	{ { "--bpffs", "/nowhere", "bind", "foo", "tcp", "::", "0" }, FAILS, "/nowhere" },
	{ { "--bpffs", "/tmp", "status" }, FAILS, "/tmp" },
	{ { "--bpffs", "/tmp", "load" }, FAILS, "mount -t bpf" },
	{ { "--bpffs", "/etc/passwd", "load" }, FAILS, "/etc/passwd" },
};

/* What is well formed and still wrong here: foo has 127.0.0.1 port 80 of TCP. */
static const struct refusal bad_things[] = {
	{ { "bind", "new", "tcp", "127.0.0.1", "80" }, FAILS, "foo#tcp:[127.0.0.1/32]:80 exists" },
	{ { "unbind", "foo", "udp", "127.0.0.1", "80" }, FAILS, "foo#udp:[127.0.0.1/32]:80" },
	{ { "unbind", "foo", "tcp", "127.0.0.1", "0" }, FAILS, "foo#tcp:[127.0.0.1/32]:0" },
	{ { "unbind", "foo", "tcp", "127.0.0.0/8", "80" }, FAILS, "foo#tcp:[127.0.0.0/8]:80" },
	{ { "unbind", "new", "tcp", "127.0.0.1", "80" }, FAILS, "new#tcp:[127.0.0.1/32]:80" },
	{ { "status", "new" }, FAILS, "'new'" },
	{ { "revoke", "new" }, FAILS, "'new'" },
	{ { "revoke", "foo" }, FAILS, "granted to nobody" },
	{ { "unregister", "new", "ipv4", "tcp" }, FAILS, "'new'" },
	{ { "unregister", "foo", "ipv4", "tcp" }, FAILS, "foo:ipv4:tcp" },
	{ { "load-bindings", "/nowhere" }, FAILS, "'/nowhere'" },
	{ { "load-bindings", "/" }, FAILS, "'/'" },
	{ { "load-bindings", "/no\nwhere" }, FAILS, "where" },
	{ { "load-bindings", "/dev/null" }, FAILS, "/dev/null" },
	{ { "register-pid", "2147483647", "new", "tcp", "::1", "80" }, FAILS, "2147483647" },
	{ { "register-pid", "2147483648", "new", "tcp", "::1", "80" }, USAGE, "'2147483648'" },
	{ { "register-pid", "/nowhere", "new", "tcp", "::1", "80" }, USAGE, "'/nowhere'" },
	{ { "register-pid", "/dev/null", "new", "tcp", "::1", "80" }, FAILS, "'/dev/null'" },
	{ { "register-pid", "/etc/passwd", "new", "tcp", "::1", "80" }, FAILS, "'/etc/passwd'" },
};

/* Prints what is wrong, so that a run tells of all that are; false then. @dump: of the state, and
 * follows when that has changed. */
static bool is_refused(const struct netns_fixture *ns, const struct refusal *expected, char **dump)
{
	CLEANUP(command_done) struct command_result r = operator_loader(expected->args);
	CLEANUP_FREE char *before = *dump;
	char *after = state_dump(ns->bpffs);
	const char *wrong = NULL;

	*dump = after;
	if (r.status != expected->status)
		wrong = "exit status";
	else if (!operator_is_one_line(r.err))
		wrong = "not one line on stderr";
	else if (!strstr(r.err, expected->names))
		wrong = "message does not name it";
	else if (*r.out)
		wrong = "output on stdout";
	else if (strcmp(before, after))
		wrong = "state has changed";
	if (!wrong)
		return true;
	print_error("isomer-loader");
	for (size_t i = 0; i < OPERATOR_ARGS_MAX && expected->args[i]; i++)
		print_error(" '%s'", expected->args[i]);
	print_error(": %s (status %d, should be %d, with \"%s\")\n%s%s", wrong, r.status,
		    expected->status, expected->names, r.out, r.err);
	return false;
}

static void all_are_refused(void **state, const struct refusal *refusals, size_t n)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *dump = NULL;
	size_t failed = 0;

	operator_load_sample();
	dump = state_dump(ns->bpffs);
	for (size_t i = 0; i < n; i++)
		failed += !is_refused(ns, &refusals[i], &dump);
	assert_int_equal(failed, 0);
	state_check(ns);
}

static void bad_ports_change_nothing(void **state)
{
	all_are_refused(state, bad_ports, LEN(bad_ports));
}

static void bad_prefixes_change_nothing(void **state)
{
	all_are_refused(state, bad_prefixes, LEN(bad_prefixes));
}

static void bad_labels_change_nothing(void **state)
{
	all_are_refused(state, bad_labels, LEN(bad_labels));
}

static void bad_words_change_nothing(void **state)
{
	all_are_refused(state, bad_words, LEN(bad_words));
}

static void wrong_numbers_of_operands_change_nothing(void **state)
{
	all_are_refused(state, bad_counts, LEN(bad_counts));
}

static void bad_options_change_nothing(void **state)
{
	all_are_refused(state, bad_options, LEN(bad_options));
}

static void what_is_not_there_or_taken_is_said_and_changes_nothing(void **state)
{
	all_are_refused(state, bad_things, LEN(bad_things));
}

/* The same without a dispatcher: said, and none is made. */
static void without_a_dispatcher_commands_say_so(void **state)
{
	static const struct refusal refusals[] = {
		{ { "status" }, FAILS, "run 'isomer-loader load'" },
		{ { "bindings" }, FAILS, "run 'isomer-loader load'" },
		{ { "bind", "new", "tcp", "127.0.0.9", "80" }, FAILS, "run 'isomer-loader load'" },
		{ { "unbind", "new", "tcp", "127.0.0.9", "80" }, FAILS, "isomer-loader load" },
		{ { "grant", "foo", "nobody" }, FAILS, "run 'isomer-loader load'" },
		{ { "revoke", "foo" }, FAILS, "run 'isomer-loader load'" },
		{ { "unregister", "foo", "ipv4", "tcp" }, FAILS, "run 'isomer-loader load'" },
	};
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *dump = state_dump(ns->bpffs);
	size_t failed = 0;

	for (size_t i = 0; i < LEN(refusals); i++)
		failed += !is_refused(ns, &refusals[i], &dump);
	assert_int_equal(failed, 0);
}

/* For programs: the message of stderr, on stdout as a document. */
static void errors_are_json_on_request(void **state)
{
	static const struct {
		const char *args[OPERATOR_ARGS_MAX];
		const char *error; /* as Python writes it */
	} cases[] = {
		{ { "status", "--json", "new" }, "2" },
		{ { "--json", "status", "a/b" }, "None" },
		{ { "--json", "status", "a\nb" }, "None" },
		{ { "--json", "status", "\"\\" }, "None" },
		{ { "--json", "status", "a\xff" }, "None" }, /* no UTF-8 */
		{ { "--json", "status", "gr\xc3\xbc\xc3\x9f" }, "None" },
		{ { "--json", "bindings", "--port", "x" }, "None" },
		{ { "--json", "frobnicate" }, "None" },
		{ { "--json", "status", "--frobnicate" }, "None" },
	};

	(void)netns_or_skip(state);
	operator_load_sample();
	for (size_t i = 0; i < LEN(cases); i++) {
		CLEANUP(command_done) struct command_result r = operator_loader(cases[i].args);
		CLEANUP_FREE char *message = NULL, *line = NULL;

		assert_int_not_equal(r.status, 0);
		assert_true(operator_is_one_line(r.err));
		operator_json_is(r.out, "keys(d)", "error error.message error.errno");
		operator_json_is(r.out, "d['error']['errno']", cases[i].error);
		message = operator_json(r.out, "d['error']['message']");
		assert_true(asprintf(&line, "isomer-loader: %s\n", message) > 0);
		if (!strstr(cases[i].args[2] ? cases[i].args[2] : "", "\xff"))
			assert_string_equal(line, r.err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(bad_ports_change_nothing),
		netns_test(bad_prefixes_change_nothing),
		netns_test(bad_labels_change_nothing),
		netns_test(bad_words_change_nothing),
		netns_test(wrong_numbers_of_operands_change_nothing),
		netns_test(bad_options_change_nothing),
		netns_test(what_is_not_there_or_taken_is_said_and_changes_nothing),
		netns_test(without_a_dispatcher_commands_say_so),
		netns_test(errors_are_json_on_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
