/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line: what is done and how that is said, in the words of the reference; help. */
#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/operator.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"
#include "support/process.h"
#include "support/state_checker.h"

#define LEN(array) (sizeof(array) / sizeof(*(array)))

/* ---- what is done, and how it is said ---- */

/* Runs the loader, and compares status, stdout and stderr. */
#define SAYS(expected_out, expected_err, ...)                                                      \
	do {                                                                                       \
		struct command_result said = loader(__VA_ARGS__, NULL);                            \
		assert_string_equal(said.err, (expected_err));                                     \
		assert_string_equal(said.out, (expected_out));                                     \
		assert_int_equal(said.status, 0);                                                  \
		command_done(&said);                                                               \
	} while (0)

static void commands_use_the_words_of_the_reference(void **state)
{
	(void)netns_or_skip(state);
	SAYS("loaded dispatcher into /proc/self/ns/net\n", "", "load");
	SAYS("bound foo#tcp:[127.0.0.0/8]:4321\n", "", "bind", "foo", "tcp", "127.0.0.0/8", "4321");
	SAYS("bound foo#udp:[::1/128]:0\n", "", "bind", "foo", "udp", "::1", "0");
	SAYS("bound a.b#tcp:[10.0.0.1/32]:80-90\n", "", "bind", "a.b", "tcp", "10.0.0.1", "80-90");
	SAYS("Bindings:\n"
	     " protocol      prefix  port label\n"
	     "      tcp 10.0.0.1/32 80-90   a.b\n"
	     "      tcp 127.0.0.0/8  4321   foo\n"
	     "      udp     ::1/128     0   foo\n",
	     "", "bindings");
	SAYS("Bindings:\n"
	     " protocol      prefix  port label\n"
	     "      tcp 10.0.0.1/32 80-90   a.b\n"
	     "      tcp 127.0.0.0/8  4321   foo\n"
	     "      udp     ::1/128     0   foo\n"
	     "\n"
	     "Destinations:\n"
	     " label domain protocol socket lookups misses errors\n"
	     "   a.b   ipv4      tcp   sk:-       0      0      0\n"
	     "   foo   ipv4      tcp   sk:-       0      0      0\n"
	     "   foo   ipv6      udp   sk:-       0      0      0\n",
	     "", "status");
	SAYS("Removed foo#udp:[::1/128]:0\n", "", "unbind", "foo", "udp", "::1", "0");
	SAYS("Bindings:\n"
	     " protocol      prefix port label\n"
	     "      tcp 127.0.0.0/8 4321   foo\n"
	     "\n"
	     "Destinations:\n"
	     " label domain protocol socket lookups misses errors\n"
	     "   foo   ipv4      tcp   sk:-       0      0      0\n",
	     "", "status", "foo");
	SAYS("unloaded dispatcher from /proc/self/ns/net\n", "", "unload");
}

static void status_shows_sockets_counters_and_grants(void **state)
{
	CLEANUP_FD int listener = -1, client = -1;
	char pid[16], expected[1024], out[256];
	unsigned long long cookie;
	int width;

	(void)netns_or_skip(state);
	loader_ok("load", NULL);
	loader_ok("bind", "foo", "tcp", "127.0.0.2", "80", NULL);
	assert_int_equal(tcp_connect("127.0.0.2", 80), -ECONNREFUSED);
	listener = tcp_listen("127.0.0.1", 8080);
	cookie = net_cookie(listener);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	snprintf(out, sizeof(out), "registered socket sk:%llx: updated destination foo:ipv4:tcp\n",
		 cookie);
	SAYS(out, "", "register-pid", pid, "foo", "tcp", "127.0.0.1", "8080");
	client = tcp_connect("127.0.0.2", 80);
	assert_return_code(client, -client);
	SAYS("granted foo to nobody:nogroup\n", "", "grant", "foo", "nobody:nogroup");

	width = snprintf(out, sizeof(out), "sk:%llx", cookie);
	width = width > 6 ? width : 6;
	snprintf(expected, sizeof(expected),
		 "Bindings:\n"
		 " protocol       prefix port label\n"
		 "      tcp 127.0.0.2/32   80   foo\n"
		 "\n"
		 "Destinations:\n"
		 " label domain protocol %*s lookups misses errors\n"
		 "   foo   ipv4      tcp %*s       2      1      0\n"
		 "\n"
		 "Grants:\n"
		 " label   user   group\n"
		 "   foo nobody nogroup\n",
		 width, "socket", width, out);
	SAYS(expected, "", "status");
}

static void host_bits_are_cleared_and_said(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	loader_ok("load", NULL);
	SAYS("bound foo#tcp:[10.0.0.0/8]:80\n",
	     "isomer-loader: prefix '10.1.2.3/8' has bits set behind its length: taken as "
	     "10.0.0.0/8\n",
	     "bind", "foo", "tcp", "10.1.2.3/8", "80");
	SAYS("bound foo#tcp:[2001:db8::/33]:80\n",
	     "isomer-loader: prefix '2001:db8::1/33' has bits set behind its length: taken as "
	     "2001:db8::/33\n",
	     "bind", "foo", "tcp", "2001:db8::1/33", "80");
	SAYS("Removed foo#tcp:[10.0.0.0/8]:80\n",
	     "isomer-loader: prefix '10.9.9.9/8' has bits set behind its length: taken as "
	     "10.0.0.0/8\n",
	     "unbind", "foo", "tcp", "10.9.9.9/8", "80");
	assert_int_equal(state_check(ns).bindings, 1);
}

static void binding_twice_is_said_and_changes_nothing(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *before = NULL;

	operator_load_sample();
	before = state_dump(ns->bpffs);
	SAYS("bound foo#tcp:[127.0.0.1/32]:80\n",
	     "isomer-loader: foo#tcp:[127.0.0.1/32]:80 is bound already\n", "bind", "foo", "tcp",
	     "127.0.0.1", "80");
	state_is_still(ns->bpffs, before);
}

static void another_labels_binding_is_replaced_on_request_alone(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	operator_load_sample();
	SAYS("bound bar#tcp:[127.0.0.1/32]:80\n",
	     "isomer-loader: replaced foo#tcp:[127.0.0.1/32]:80\n", "bind", "--replace", "bar",
	     "tcp", "127.0.0.1", "80");
	assert_int_equal(state_check(ns).bindings, 3);
	SAYS("Bindings:\n"
	     " protocol       prefix port label\n"
	     "      tcp 127.0.0.1/32   80   bar\n"
	     "      tcp 127.0.0.2/32    0   bar\n",
	     "", "bindings", "--label", "bar");
}

static void miss_policy_is_taken_and_shown(void **state)
{
	(void)netns_or_skip(state);
	loader_ok("load", NULL);
	SAYS("bound foo#tcp:[127.0.0.2/32]:80\n", "", "bind", "--miss", "pass", "foo", "tcp",
	     "127.0.0.2", "80");
	SAYS("bound foo#tcp:[127.0.0.3/32]:80\n", "", "bind", "foo", "tcp", "127.0.0.3", "80",
	     "--miss=drop");
	SAYS("Bindings:\n"
	     " protocol       prefix port label miss\n"
	     "      tcp 127.0.0.2/32   80   foo pass\n"
	     "      tcp 127.0.0.3/32   80   foo drop\n",
	     "", "bindings");
	/* Its own binding a label may change. */
	loader_ok("bind", "foo", "tcp", "127.0.0.2", "80", NULL);
	SAYS("Bindings:\n"
	     " protocol       prefix port label\n"
	     "      tcp 127.0.0.2/32   80   foo\n"
	     "      tcp 127.0.0.3/32   80   foo\n",
	     "", "bindings");
}

static void bindings_are_filtered(void **state)
{
	static const struct {
		const char *args[OPERATOR_ARGS_MAX];
		const char *ports; /* of the bindings that are shown, in order */
	} cases[] = {
		{ { "bindings" }, " 1 2-9 3 4 6 0 5" },
		{ { "bindings", "--label", "foo" }, " 1 2-9 3 0" },
		{ { "bindings", "--label", "fo" }, "" },
		{ { "bindings", "--protocol", "tcp" }, " 1 2-9 3 4 6" },
		{ { "bindings", "--protocol", "udp" }, " 0 5" },
		{ { "bindings", "--port", "1" }, " 1 0" },
		{ { "bindings", "--port", "9" }, " 2-9 0" },
		{ { "bindings", "--port", "10" }, " 0" },
		{ { "bindings", "--port", "0" }, " 1 2-9 3 4 6 0 5" },
		{ { "bindings", "--ip", "10.0.0.1" }, " 1 3 4 0" },
		{ { "bindings", "--ip", "10.1.0.0/16" }, " 2-9 3 4 0" },
		{ { "bindings", "--ip", "11.0.0.0/8" }, " 4 0" },
		{ { "bindings", "--ip", "0.0.0.0/0" }, " 1 2-9 3 4 0" },
		{ { "bindings", "--ip", "::/0" }, " 6 5" },
		{ { "bindings", "--ip", "2001:db8:ffff::" }, " 5" },
		{ { "bindings", "--ip", "10.0.0.1", "--label", "bar" }, " 4" },
		{ { "bindings", "--label", "foo", "--protocol", "udp", "--port", "7" }, " 0" },
		/* As the reference writes them. */
		{ { "bindings", "-label", "bar" }, " 4 6 5" },
		{ { "bindings", "-label=bar" }, " 4 6 5" },
		{ { "bindings", "-protocol", "udp", "-port", "5" }, " 0 5" },
		{ { "bindings", "-ip", "10.0.0.1", "-label=foo" }, " 1 3 0" },
		{ { "-netns", "/proc/self/ns/net", "-bpffs", "/sys/fs/bpf", "bindings", "-port",
		    "1" },
		  " 1 0" },
		{ { "--netns=/proc/self/ns/net", "bindings", "--port=1" }, " 1 0" },
		{ { "bindings", "--port", "1", "--netns", "/proc/self/ns/net" }, " 1 0" },
	};

	(void)netns_or_skip(state);
	loader_ok("load", NULL);
	loader_ok("bind", "foo", "tcp", "10.0.0.1", "1", NULL);
	loader_ok("bind", "foo", "tcp", "10.1.2.0/24", "2-9", NULL);
	loader_ok("bind", "foo", "tcp", "10.0.0.0/8", "3", NULL);
	loader_ok("bind", "bar", "tcp", "0.0.0.0/0", "4", NULL);
	loader_ok("bind", "bar", "udp", "2001:db8::/32", "5", NULL);
	loader_ok("bind", "bar", "tcp", "::1", "6", NULL);
	loader_ok("bind", "foo", "udp", "0.0.0.0/0", "0", NULL);
	for (size_t i = 0; i < LEN(cases); i++) {
		CLEANUP(command_done) struct command_result r = operator_loader(cases[i].args);
		char ports[64] = "", port[32];

		assert_int_equal(r.status, 0);
		assert_string_equal(r.err, "");
		for (const char *line = r.out; (line = strchr(line, '\n')); line++)
			if (sscanf(line, " %*s %*s %31s", port) == 1 &&
			    isdigit((unsigned char)*port))
				snprintf(ports + strlen(ports), sizeof(ports) - strlen(ports),
					 " %s", port);
		if (strcmp(ports, cases[i].ports))
			fail_msg("case %zu: ports%s, should be%s", i, ports, cases[i].ports);
		if (!*ports)
			assert_string_equal(r.out, "no bindings matched\n");
	}
}

/* A label may begin with a dash; "--" ends the options. */
static void what_follows_two_dashes_is_an_operand(void **state)
{
	(void)netns_or_skip(state);
	loader_ok("load", NULL);
	SAYS("bound --replace#tcp:[127.0.0.2/32]:80\n", "", "bind", "--", "--replace", "tcp",
	     "127.0.0.2", "80");
	SAYS("bound -x#tcp:[127.0.0.2/32]:81\n", "", "bind", "--", "-x", "tcp", "127.0.0.2", "81");
	SAYS("bound -netns#tcp:[127.0.0.2/32]:82\n", "", "bind", "--", "-netns", "tcp", "127.0.0.2",
	     "82");
	SAYS("bound -replace#tcp:[127.0.0.2/32]:83\n", "", "bind", "--", "-replace", "tcp",
	     "127.0.0.2", "83");
}

/* ---- help ---- */

/* Their operands, as the reference or the manual has them. */
static const struct {
	const char *name, *operands;
} commands[] = {
	{ "load", "" },
	{ "unload", "" },
	{ "upgrade", "" },
	{ "bind", " LABEL PROTOCOL PREFIX[/LEN] PORT" },
	{ "unbind", " LABEL PROTOCOL PREFIX[/LEN] PORT" },
	{ "load-bindings", " FILE|-" },
	{ "bindings", "" },
	{ "status", " [LABEL]" },
	{ "explain", " PROTOCOL IP PORT [from IP PORT]" },
	{ "metrics", " ADDRESS PORT [PATH]" },
	{ "register", " LABEL" },
	{ "register-pid", " PID|PIDFILE LABEL PROTOCOL IP PORT" },
	{ "unregister", " LABEL ipv4|ipv6 tcp|udp" },
	{ "grant", " LABEL USER[:GROUP]" },
	{ "revoke", " LABEL" },
	{ "version", "" },
};

static void help_begins_with(const char *name, const char *operands)
{
	const char *forms[][3] = {
		{ name, "--help" }, { name, "-h" }, { name, "-help" }, { "--help", name }
	};
	char usage[128];

	snprintf(usage, sizeof(usage), "Usage: isomer-loader %s%s", name, operands);
	for (size_t i = 0; i < LEN(forms); i++) {
		CLEANUP(command_done) struct command_result r = operator_loader(forms[i]);
		size_t len = strlen(usage);

		assert_int_equal(r.status, 0);
		assert_string_equal(r.err, "");
		if (strncmp(r.out, usage, len) || !strchr(" \n", r.out[len]))
			fail_msg("help of %s begins with '%.100s'", name, r.out);
	}
}

static void help_of_every_command_shows_its_operands(void **state)
{
	(void)state;
	for (size_t i = 0; i < LEN(commands); i++)
		help_begins_with(commands[i].name, commands[i].operands);
}

static void every_command_of_the_list_has_help(void **state)
{
	const char *args[] = { "--help", NULL };
	CLEANUP(command_done) struct command_result r = operator_loader(args);
	const char *line = strstr(r.out, "\nCommands:\n");
	size_t listed = 0;
	char name[32];

	(void)state;
	assert_int_equal(r.status, 0);
	assert_string_equal(r.err, "");
	assert_non_null(line);
	for (line += 11; *line != '\n'; line = strchr(line, '\n') + 1) {
		assert_int_equal(sscanf(line, " %31s", name), 1);
		help_begins_with(name, "");
		listed++;
	}
	assert_true(listed >= LEN(commands));
}

static void version_is_printed(void **state)
{
	const char *forms[][2] = { { "version" }, { "--version" }, { "-version" } };

	(void)state;
	for (size_t i = 0; i < LEN(forms); i++) {
		CLEANUP(command_done) struct command_result r = operator_loader(forms[i]);

		assert_int_equal(r.status, 0);
		assert_string_equal(r.err, "");
		assert_int_equal(strncmp(r.out, "isomer-loader version: ", 23), 0);
	}
}

/* ---- surroundings ---- */

/* There the mount, and all pins, would end with the command. */
static void load_under_ip_netns_exec_refuses_and_says_what_to_do(void **state)
{
	const char *load[] = { loader_path(), "load", NULL },
		   *bind[] = { loader_path(), "bindings", NULL };
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FREE char *before = state_dump(ns->bpffs);
	struct process_options o = { .argv = load, .netns = "/proc/self/ns/net" };
	struct command_result r = command_run(&o);

	assert_int_equal(r.status, 1);
	assert_true(operator_is_one_line(r.err));
	assert_non_null(strstr(r.err, "isomer-loader --netns /run/netns/NAME load"));
	assert_string_equal(r.out, "");
	command_done(&r);
	state_is_still(ns->bpffs, before);

	loader_ok("load", NULL);
	o.argv = bind;
	r = command_run(&o);
	assert_int_equal(r.status, 1);
	assert_true(operator_is_one_line(r.err));
	assert_non_null(strstr(r.err, "mount namespace"));
	command_done(&r);
}

/* A result that nobody gets is no success. */
static void a_full_disk_is_a_failure(void **state)
{
	const char *argv[] = { "sh", "-c", "exec \"$0\" bindings >/dev/full", loader_path(), NULL };
	struct command_result r;

	(void)netns_or_skip(state);
	operator_load_sample();
	r = command_run(&(struct process_options){ .argv = argv });
	assert_int_equal(r.status, 1);
	assert_true(operator_is_one_line(r.err));
	assert_non_null(strstr(r.err, "stdout"));
	command_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(commands_use_the_words_of_the_reference),
		netns_test(status_shows_sockets_counters_and_grants),
		netns_test(host_bits_are_cleared_and_said),
		netns_test(binding_twice_is_said_and_changes_nothing),
		netns_test(another_labels_binding_is_replaced_on_request_alone),
		netns_test(miss_policy_is_taken_and_shown),
		netns_test(bindings_are_filtered),
		netns_test(what_follows_two_dashes_is_an_operand),
		cmocka_unit_test(help_of_every_command_shows_its_operands),
		cmocka_unit_test(every_command_of_the_list_has_help),
		cmocka_unit_test(version_is_printed),
		netns_test(load_under_ip_netns_exec_refuses_and_says_what_to_do),
		netns_test(a_full_disk_is_a_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
