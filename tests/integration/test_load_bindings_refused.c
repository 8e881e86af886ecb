/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that load-bindings refuses: with one line that tells where and why, and nothing changes. */
#include <errno.h>
#include <setjmp.h>
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

#define ENTRY(fields) "{\"bindings\": [{" fields "}]}"
#define FOO           "\"label\": \"foo\", \"prefix\": \"127.0.0.1\", \"port\": 80"

struct mistake {
	const char *text;
	size_t len; /* 0: up to the NUL */
	const char *said;
};

/* Each is refused with one line, and nothing has changed, not even an id. */
static void refuses(const struct netns_fixture *ns, const struct mistake *mistakes, size_t n)
{
	CLEANUP_FREE char *before = NULL;
	struct command_result status, after;

	operator_load_kept();
	before = state_dump(ns->bpffs);
	status = loader("status", "--json", NULL);
	for (size_t i = 0; i < n; i++) {
		const struct mistake *m = &mistakes[i];
		struct command_result r =
			operator_load_bindings(NULL, m->text, m->len ? m->len : strlen(m->text));

		if (r.status != 1)
			print_error("taken, or refused otherwise: %.200s\n", m->text);
		assert_true(operator_is_one_line(r.err));
		operator_printed(&r, 1, "", m->said);
		state_is_still(ns->bpffs, before);
	}
	after = loader("status", "--json", NULL);
	assert_string_equal(after.out, status.out);
	command_done(&after);
	command_done(&status);
}

static void what_is_no_document_is_refused(void **state)
{
	static const struct mistake mistakes[] = {
		{ "", 0, ": line 1: parse error: premature EOF" },
		{ " \n\n ", 0, ": line 3: parse error: premature EOF" },
		{ "null", 0, "null where none belongs" },
		{ "{}", 0, "there is no field 'bindings'" },
		{ "[]", 0, "an array where none belongs" },
		{ "17", 0, "a number where none belongs" },
		{ "\"bindings\"", 0, "a string where none belongs" },
		{ "{\"bindings\": null}", 0, "'bindings' must be an array, not null" },
		{ "{\"bindings\": {}}", 0, "must be an array, not an object" },
		{ "{\"bindings\": \"\"}", 0, "'bindings' must be an array, not a string" },
		{ "{\"Bindings\": []}", 0, "unknown field 'Bindings'" },
		{ "{\"bindings\": [], \"version\": 1}", 0, "unknown field 'version'" },
		{ "{\"bindings\": [], \"bindings\": []}", 0, "field 'bindings'" },
		{ "xyz", 0, ": line 1: lexical error" },
		{ "{\"bindings\": [/* none */]}", 0, ": line 1: lexical error" },
		{ "{'bindings': []}", 0, ": line 1: lexical error" },
	};

	refuses(netns_or_skip(state), mistakes, LEN(mistakes));
}

static void what_does_not_end_as_it_should_is_refused(void **state)
{
	static const struct mistake mistakes[] = {
		{ "{\"bindings\": []", 0, ": line 1: parse error: premature EOF" },
		{ "{\"bindings\": [", 0, "premature EOF" },
		{ "{\"bindings\":", 0, "premature EOF" },
		{ "{\"bindings\": [{" FOO "\n", 0, ": line 2: parse error: premature EOF" },
		{ "{\"bindings\": [{" FOO "}", 0, "premature EOF" },
		{ ENTRY(FOO) "\n{}", 0, ": line 2: parse error: trailing garbage" },
		{ ENTRY(FOO) " x", 0, ": line 1: " },
		{ ENTRY(FOO) "}", 0, ": line 1: parse error: trailing garbage" },
		{ ENTRY(FOO) "\n\n" ENTRY(FOO), 0, ": line 3: parse error: trailing garbage" },
		{ ENTRY(FOO) "\0", sizeof(ENTRY(FOO)), ": line 1: " },
		{ "{\"bindings\": [{" FOO "},]}", 0, ": line 1: parse error" },
		{ "{\"bindings\": [{" FOO ",}]}", 0, ": line 1: parse error" },
	};

	refuses(netns_or_skip(state), mistakes, LEN(mistakes));
}

static void fields_that_are_missing_double_or_unknown_are_refused(void **state)
{
	static const struct mistake mistakes[] = {
		{ ENTRY(""), 0, ": entry 1: field 'label' is missing" },
		{ ENTRY("\"prefix\": \"127.0.0.1\", \"port\": 80"), 0,
		  ": entry 1: field 'label' is missing" },
		{ ENTRY("\"label\": \"foo\", \"port\": 80"), 0,
		  ": entry 1: field 'prefix' is missing" },
		{ "{\"bindings\": [{" FOO "}, {\"label\": \"foo\", \"prefix\": \"::1\"}]}", 0,
		  ": entry 2: field 'port' is missing" },
		{ ENTRY(FOO ", \"port\": 80"), 0, ": entry 1: field 'port' twice" },
		{ ENTRY("\"label\": \"bar\", " FOO), 0, ": entry 1: field 'label' twice" },
		{ ENTRY(FOO ", \"comment\": \"\""), 0, ": entry 1: unknown field 'comment'" },
		{ ENTRY(FOO ", \"Protocol\": \"tcp\""), 0, ": entry 1: unknown field 'Protocol'" },
		{ ENTRY(FOO ", \"\": 1"), 0, ": entry 1: unknown field ''" },
		{ ENTRY(FOO ", \"port\\u0000\": 1"), 0, ": entry 1: unknown field 'port" },
	};

	refuses(netns_or_skip(state), mistakes, LEN(mistakes));
}

#define PORT(value)     ENTRY("\"label\": \"foo\", \"prefix\": \"127.0.0.1\", \"port\": " value)
#define PREFIX(value)   ENTRY("\"label\": \"foo\", \"port\": 80, \"prefix\": " value)
#define LABEL(value)    ENTRY("\"port\": 80, \"prefix\": \"127.0.0.1\", \"label\": " value)
#define PROTOCOL(value) ENTRY(FOO ", \"protocol\": " value)
#define MISS(value)     ENTRY(FOO ", \"miss\": " value)

static void values_of_another_type_are_refused(void **state)
{
	static const struct mistake mistakes[] = {
		{ PORT("null"), 0, ": entry 1: field 'port' must not be null" },
		{ PORT("true"), 0, ": entry 1: field 'port' must not be a boolean" },
		{ PORT("[80]"), 0, ": entry 1: field 'port' must not be an array" },
		{ PORT("{}"), 0, ": entry 1: field 'port' must not be an object" },
		{ LABEL("null"), 0, ": entry 1: field 'label' must not be null" },
		{ LABEL("80"), 0, ": entry 1: field 'label' must not be a number" },
		{ PREFIX("null"), 0, ": entry 1: field 'prefix' must not be null" },
		{ PREFIX("127"), 0, ": entry 1: field 'prefix' must not be a number" },
		{ PROTOCOL("6"), 0, ": entry 1: field 'protocol' must not be a number" },
		{ PROTOCOL("null"), 0, ": entry 1: field 'protocol' must not be null" },
		{ MISS("false"), 0, ": entry 1: field 'miss' must not be a boolean" },
	};

	refuses(netns_or_skip(state), mistakes, LEN(mistakes));
}

static void values_that_mean_nothing_are_refused(void **state)
{
	static const struct mistake mistakes[] = {
		{ PORT("65536"), 0, ": entry 1: port '65536' is not" },
		{ PORT("-1"), 0, ": entry 1: port '-1' is not" },
		{ PORT("80.0"), 0, ": entry 1: port '80.0' is not" },
		{ PORT("8e1"), 0, ": entry 1: port '8e1' is not" },
		{ PORT("18446744073709551696"), 0, ": entry 1: port '18446744073709551696' is" },
		{ PORT("\"\""), 0, ": entry 1: port '' is not" },
		{ PORT("\"90-80\""), 0, ": entry 1: port '90-80' is not" },
		{ PORT("\"0-80\""), 0, ": entry 1: port '0-80' is not" },
		{ PORT("\"80-\""), 0, ": entry 1: port '80-' is not" },
		{ PORT("\" 80\""), 0, ": entry 1: port ' 80' is not" },
		{ PORT("\"8\\u00000\""), 0, ": entry 1: port '8" },
		{ PREFIX("\"\""), 0, ": entry 1: prefix '' is not" },
		{ PREFIX("\"127.0.0.1/33\""), 0, ": entry 1: prefix '127.0.0.1/33' is not" },
		{ PREFIX("\"127.1\""), 0, ": entry 1: prefix '127.1' is not" },
		{ PREFIX("\"localhost\""), 0, ": entry 1: prefix 'localhost' is not" },
		{ PREFIX("\"::ffff:127.0.0.1\""), 0, ": entry 1: prefix '::ffff:127.0.0.1' is an" },
		{ PREFIX("\"127.0.0.1\\u0000\""), 0, ": entry 1: prefix '127.0.0.1" },
		{ PROTOCOL("\"sctp\""), 0, ": entry 1: protocol 'sctp' is neither tcp nor udp" },
		{ PROTOCOL("\"TCP\""), 0, ": entry 1: protocol 'TCP' is neither tcp nor udp" },
		{ MISS("\"reject\""), 0, ": entry 1: miss 'reject' is neither drop nor pass" },
		{ MISS("\"\""), 0, ": entry 1: miss '' is neither drop nor pass" },
	};

	refuses(netns_or_skip(state), mistakes, LEN(mistakes));
}

#define A16  "aaaaaaaaaaaaaaaa"
#define A256 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16
#define D16  "................"

static void odd_labels_are_refused(void **state)
{
	static const struct mistake mistakes[] = {
		{ LABEL("\"\""), 0, ": entry 1: label '' is not valid" },
		{ LABEL("\"-\""), 0, ": entry 1: label '-' is not valid" },
		{ LABEL("\"a b\""), 0, ": entry 1: label 'a b' is not valid" },
		{ LABEL("\"a/b\""), 0, ": entry 1: label 'a/b' is not valid" },
		{ LABEL("\"a\\u0000b\""), 0, ": entry 1: the label is too long or holds a NUL" },
		{ LABEL("\"\303\244\""), 0, ": entry 1: label '" },
		{ LABEL("\"" A256 "\""), 0, ": entry 1: the label is too long" },
		{ LABEL("\"" A256 A256 "\""), 0, ": entry 1: the label is too long" },
		/* A dot counts three in the file name. */
		{ LABEL("\"" D16 D16 D16 D16 D16 D16 "\""), 0, ": entry 1: label '....." },
		{ LABEL("\"\377\""), 0, ": line 1: lexical error: invalid bytes in UTF8" },
		{ LABEL("\"\303\""), 0, ": line 1: lexical error: invalid bytes in UTF8" },
		{ LABEL("\"a\tb\""), 0, ": line 1: lexical error" }, /* not escaped */
	};

	refuses(netns_or_skip(state), mistakes, LEN(mistakes));
}

/* A file cannot forge lines of the log, nor write to the terminal. */
static void control_characters_stay_in_the_line(void **state)
{
	static const struct mistake mistakes[] = {
		{ LABEL("\"a\\nb\""), 0, ": entry 1: label 'a" },
		{ LABEL("\"a\\tb\""), 0, ": entry 1: label 'a" },
		{ PREFIX("\"127.0.0.1\\n\""), 0, ": entry 1: prefix '127.0.0.1" },
		{ PORT("\"8\\n0\""), 0, ": entry 1: port '8" },
		{ PROTOCOL("\"tcp\\n\""), 0, ": entry 1: protocol 'tcp" },
		{ MISS("\"\\u001b[2J\""), 0, ": entry 1: miss '" },
		{ ENTRY(FOO ", \"a\\nb\": 1"), 0, ": entry 1: unknown field 'a" },
		{ "{\"a\\nb\": []}", 0, "unknown field 'a" },
	};

	refuses(netns_or_skip(state), mistakes, LEN(mistakes));
}

static void what_is_no_entry_is_counted(void **state)
{
	static const struct mistake mistakes[] = {
		{ "{\"bindings\": [1]}", 0, ": entry 1: a number" },
		{ "{\"bindings\": [{" FOO "}, null]}", 0, ": entry 2: null" },
		{ "{\"bindings\": [{" FOO "}, []]}", 0, ": entry 2: an array" },
		{ "{\"bindings\": [{" FOO "}, \"foo\"]}", 0, ": entry 2: a string" },
	};

	refuses(netns_or_skip(state), mistakes, LEN(mistakes));
}

static void two_entries_for_the_same_traffic_are_refused(void **state)
{
#define TWO(second) "{\"bindings\": [{" FOO "}, {" second "}]}"
	static const struct mistake mistakes[] = {
		{ TWO(FOO), 0,
		  ": entries 1 and 2 are for the same traffic: foo#tcp:[127.0.0.1/32]:80" },
		{ TWO("\"label\": \"bar\", \"prefix\": \"127.0.0.1\", \"port\": 80"), 0,
		  ": entries 1 and 2 are for the same traffic: " },
		/* What no protocol means covers what one means. */
		{ TWO(FOO ", \"protocol\": \"udp\""), 0,
		  ": entries 1 and 2 are for the same traffic: foo#udp:[127.0.0.1/32]:80" },
		{ TWO(FOO ", \"miss\": \"pass\", \"protocol\": \"tcp\""), 0,
		  ": entries 1 and 2 are for the same traffic: foo#tcp:[127.0.0.1/32]:80" },
		/* The same in other words. */
		{ TWO("\"label\": \"foo\", \"prefix\": \"127.0.0.1/32\", \"port\": \"80-80\""), 0,
		  ": entries 1 and 2 are for the same traffic: " },
		{ "{\"bindings\": [{\"label\": \"a\", \"prefix\": \"::1\", \"port\": 1}, {" FOO
		  "}, {\"label\": \"b\", \"prefix\": \"0:0::1/128\", \"port\": 1}]}",
		  0, ": entries 1 and 3 are for the same traffic: " },
	};

	refuses(netns_or_skip(state), mistakes, LEN(mistakes));
#undef TWO
}

/* The parser reads in pieces: lines and entries are counted through all of them. */
static void mistakes_far_behind_are_located(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *text = NULL, *entry_text = NULL;
	size_t size = 0, entry_size = 0;
	FILE *out = open_memstream(&text, &size);
	FILE *entry_out = open_memstream(&entry_text, &entry_size);

	assert_true(out && entry_out);
	fprintf(out, "{\"bindings\": [\n");
	for (unsigned i = 0; i < 20000; i++)
		fprintf(out, "{\"label\": \"foo\", \"prefix\": \"10.%u.%u.1\", \"port\": 80},\n",
			i >> 8, i & 255);
	assert_int_equal(fflush(out), 0);
	fprintf(entry_out, "%s{\"label\": \"foo\", \"prefix\": \"10.0.0.0/7x\", \"port\": 80}\n",
		text);
	fprintf(out, "{\"label\" \"foo\"}]}\n");
	assert_int_equal(fclose(entry_out), 0);
	assert_int_equal(fclose(out), 0);
	refuses(ns,
		(const struct mistake[]){
			{ text, size, ": line 20002: parse error: " },
			{ entry_text, entry_size, ": entry 20001: prefix '10.0.0.0/7x' is not" } },
		2);
}

/* Entries without a protocol, each of which is two bindings, and one with if @n is odd. */
static char *many_bindings(unsigned n, size_t *ret_size)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_size);

	assert_non_null(out);
	fprintf(out, "{\"bindings\": [");
	for (unsigned i = 0; i < n / 2; i++)
		fprintf(out, "%s{\"label\":\"foo\",\"prefix\":\"10.%u.%u.%u\",\"port\":80}",
			i ? ",\n" : "", i >> 16, i >> 8 & 255, i & 255);
	if (n % 2)
		fprintf(out,
			",{\"label\":\"foo\",\"prefix\":\"::\",\"port\":1,\"protocol\":\"tcp\"}");
	fprintf(out, "]}\n");
	assert_int_equal(fclose(out), 0);
	return text;
}

static void a_million_bindings_are_read_and_no_more(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FD int fd = -1;
	struct command_result r;
	size_t size;

	text = many_bindings(ISOMER_BINDINGS_MAX + 1, &size);
	refuses(ns,
		(const struct mistake[]){
			{ text, size, ": entry 500001: more than 1000000 bindings" } },
		1);
	free(TAKE_PTR(text));
	text = many_bindings(ISOMER_BINDINGS_MAX, &size);
	fd = operator_file(text, size);
	r = operator_shell(
		fd, "\"$0\" load-bindings --dry-run " OPERATOR_FILE " | grep -c '^added foo#'",
		NULL);
	operator_printed(&r, 0, "1000000\n", NULL);
}

static void what_cannot_be_read_is_told(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *before = NULL;
	struct command_result r;

	operator_load_kept();
	before = state_dump(ns->bpffs);
	r = loader("load-bindings", "/nonexistent.json", NULL);
	operator_printed(&r, 1, "", "cannot open '/nonexistent.json': No such file or directory");
	r = loader("load-bindings", "/", NULL);
	operator_printed(&r, 1, "", "cannot read '/': Is a directory");
	r = operator_shell(0, "\"$0\" load-bindings - <&-", NULL);
	operator_printed(&r, 1, "", "cannot open '-': Bad file descriptor");
	r = loader("load-bindings", NULL);
	operator_printed(&r, 2, "", "load-bindings takes FILE|-, but 0 operands were given");
	state_is_still(ns->bpffs, before);

	loader_ok("unload", NULL);
	r = operator_load_bindings(NULL, ENTRY(FOO), strlen(ENTRY(FOO)));
	operator_printed(&r, 1, "", "no dispatcher is loaded");
}

static void labels_without_room_change_nothing(void **state)
{
	static const char three[] =
		"{\"bindings\": [{\"label\": \"a\", \"prefix\": \"127.0.0.1\", \"port\": 1},"
		"{\"label\": \"b\", \"prefix\": \"127.0.0.1\", \"port\": 2},"
		"{\"label\": \"c\", \"prefix\": \"127.0.0.1\", \"port\": 3}]}";
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *before = NULL;
	struct command_result r;

	loader_ok("load", "--max-destinations", "8", NULL);
	loader_ok("bind", "kept", "tcp", "127.9.0.0/16", "9", NULL);
	before = state_dump(ns->bpffs);
	r = operator_load_bindings(NULL, three, strlen(three));
	operator_printed(&r, 1, "", "the dispatcher was loaded for 8 destinations");
	state_is_still(ns->bpffs, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(what_is_no_document_is_refused),
		netns_test(what_does_not_end_as_it_should_is_refused),
		netns_test(fields_that_are_missing_double_or_unknown_are_refused),
		netns_test(values_of_another_type_are_refused),
		netns_test(values_that_mean_nothing_are_refused),
		netns_test(odd_labels_are_refused),
		netns_test(control_characters_stay_in_the_line),
		netns_test(what_is_no_entry_is_counted),
		netns_test(two_entries_for_the_same_traffic_are_refused),
		netns_test(mistakes_far_behind_are_located),
		netns_test(a_million_bindings_are_read_and_no_more),
		netns_test(what_cannot_be_read_is_told),
		netns_test(labels_without_room_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
