/* SPDX-License-Identifier: BSD-3-Clause */
/* metrics: what Prometheus gets, and from whom. */
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
#include "integration/server.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"

#define NOBODY    65534
#define GROUP     4242
#define PAGE_SIZE 65536

/* ---- help ---- */

/* Starts the exporter with its operands behind "127.0.0.1 0" up to a NULL; @ret_port: its port. */
static struct process *exporter_start(const struct process_options *as, const char *const *operands,
				      uint16_t *ret_port)
{
	const char *argv[8] = { loader_path(), "metrics", "127.0.0.1", "0" };
	struct process_options options = *as;
	struct process *p;
	unsigned port;

	for (size_t i = 0; operands && operands[i]; i++)
		argv[4 + i] = operands[i];
	options.argv = argv;
	p = process_start(&options);
	process_wait_output(p, "\n");
	if (sscanf(process_stdout(p), "Listening on 127.0.0.1:%u\n", &port) != 1)
		fail_msg("should say where it listens: %s%s", process_stdout(p), process_stderr(p));
	*ret_port = (uint16_t)port;
	return p;
}

/* An answer of the exporter. Free with free(). */
struct answer {
	char text[PAGE_SIZE];
	int status;
	const char *body; /* in @text */
};

static struct answer *ask(uint16_t port, const char *method, const char *path)
{
	struct answer *a = calloc(1, sizeof(*a));
	char request[256];
	int r;

	assert_non_null(a);
	snprintf(request, sizeof(request), "%s %s HTTP/1.0\r\nContent-Length: 0\r\n\r\n", method,
		 path);
	r = tcp_exchange("127.0.0.1", port, request, a->text, sizeof(a->text));
	assert_return_code(r, -r);
	assert_int_equal(sscanf(a->text, "HTTP/1.%*d %d ", &a->status), 1);
	a->body = strstr(a->text, "\r\n\r\n");
	assert_non_null(a->body);
	a->body += 4;
	return a;
}

static void answers(uint16_t port, const char *method, const char *path, int status)
{
	CLEANUP_FREE struct answer *a = ask(port, method, path);

	if (a->status != status)
		fail_msg("%s %s: status %d, should be %d", method, path, a->status, status);
}

static void has_line(const char *page, const char *line)
{
	size_t len = strlen(line);

	for (const char *at = page; (at = strstr(at, line)); at++)
		if ((at == page || at[-1] == '\n') && at[len] == '\n')
			return;
	fail_msg("there should be a line '%s' in\n%s", line, page);
}

static void page_has(uint16_t port, const char *line)
{
	CLEANUP_FREE struct answer *a = ask(port, "GET", "/metrics");

	assert_int_equal(a->status, 200);
	has_line(a->body, line);
}

static void ask_label(int times, const char *ip, uint16_t port, int expected)
{
	for (int i = 0; i < times; i++) {
		CLEANUP_FD int fd = tcp_connect(ip, port);

		assert_int_equal(fd < 0 ? fd : 0, expected);
	}
}

/* Registers a listener of the test under "foo". */
static int serve_foo(void)
{
	int listener = tcp_listen("127.0.0.1", 7000);

	assert_return_code(listener, -listener);
	loader_register(getpid(), "foo", "tcp", "127.0.0.1", 7000);
	return listener;
}

/* ---- the text ---- */

static const char expected_text[] =
	"# HELP isomer_lookups_total Total number of times traffic matched a destination.\n"
	"# TYPE isomer_lookups_total counter\n"
	"isomer_lookups_total{label=\"foo\",domain=\"ipv4\",protocol=\"tcp\"} 5\n"
	"isomer_lookups_total{label=\"foo\",domain=\"ipv6\",protocol=\"udp\"} 0\n"
	"# HELP isomer_misses_total Total number of failed lookups since no socket was "
	"registered.\n"
	"# TYPE isomer_misses_total counter\n"
	"isomer_misses_total{label=\"foo\",domain=\"ipv4\",protocol=\"tcp\"} 2\n"
	"isomer_misses_total{label=\"foo\",domain=\"ipv6\",protocol=\"udp\"} 0\n"
	"# HELP isomer_bindings The number of bindings for each label.\n"
	"# TYPE isomer_bindings gauge\n"
	"isomer_bindings{label=\"foo\",domain=\"ipv4\",protocol=\"tcp\"} 2\n"
	"isomer_bindings{label=\"foo\",domain=\"ipv6\",protocol=\"udp\"} 1\n"
	"# HELP isomer_destination_has_socket Whether or not a destination has a registered "
	"socket.\n"
	"# TYPE isomer_destination_has_socket gauge\n"
	"isomer_destination_has_socket{label=\"foo\",domain=\"ipv4\",protocol=\"tcp\"} 1\n"
	"isomer_destination_has_socket{label=\"foo\",domain=\"ipv6\",protocol=\"udp\"} 0\n"
	"# HELP isomer_errors_total Total number of lookups in which something was in the way, by "
	"reason.\n"
	"# TYPE isomer_errors_total counter\n"
	"isomer_errors_total{label=\"foo\",domain=\"ipv4\",protocol=\"tcp\",reason=\"bad_socket\"} "
	"0\n"
	"isomer_errors_total{label=\"foo\",domain=\"ipv4\",protocol=\"tcp\",reason=\"other_"
	"program\"} 0\n"
	"isomer_errors_total{label=\"foo\",domain=\"ipv6\",protocol=\"udp\",reason=\"bad_socket\"} "
	"0\n"
	"isomer_errors_total{label=\"foo\",domain=\"ipv6\",protocol=\"udp\",reason=\"other_"
	"program\"} 0\n"
	"# HELP isomer_collection_errors_total The number of times metrics collection encountered "
	"an error.\n"
	"# TYPE isomer_collection_errors_total counter\n"
	"isomer_collection_errors_total 0\n"
	"# HELP isomer_build_info Build and version information.\n"
	"# TYPE isomer_build_info gauge\n"
	"isomer_build_info{version=\"";

static void names_and_labels_are_those_of_the_reference(void **state)
{
	CLEANUP(command_done) struct command_result r = { 0 };
	CLEANUP_FD int listener = -1;
	char version[32], rest[8];

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
	loader_ok("bind", "foo", "tcp", "127.2.0.0/16", "80", NULL);
	loader_ok("bind", "foo", "udp", "fd00::/8", "80", NULL);
	ask_label(2, "127.1.2.3", 80, -ECONNREFUSED);
	listener = serve_foo();
	ask_label(3, "127.2.2.3", 80, 0);
	r = loader("metrics", "--once", NULL);
	assert_int_equal(r.status, 0);
	assert_string_equal(r.err, "");
	if (strncmp(r.out, expected_text, strlen(expected_text)) != 0)
		assert_string_equal(r.out, expected_text);
	assert_int_equal(sscanf(r.out + strlen(expected_text), "%31[0-9.]\",schema=\"%*d\"} 1%7c",
				version, rest),
			 2);
}

/* Labels may hold every byte that they may hold; some metrics have no lines without a label. */
static void promtool_finds_nothing_to_complain_about(void **state)
{
	struct command_result r;

	server_need("promtool");
	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	r = operator_shell(0, "\"$0\" metrics --once | promtool check metrics", NULL);
	operator_printed(&r, 0, "", NULL);
	loader_ok("bind", "a.b_C@d:e+f-9", "tcp", "127.1.0.0/16", "80", NULL);
	loader_ok("bind", "foo", "udp", "fd00::/8", "0", NULL);
	r = operator_shell(0, "\"$0\" metrics --once | promtool check metrics", NULL);
	operator_printed(&r, 0, "", NULL);
	loader_ok("unload", NULL);
}

static void once_tells_what_is_in_the_way(void **state)
{
	struct command_result r;

	(void)netns_or_skip(state);
	r = loader("metrics", "--once", NULL);
	operator_printed(&r, 1, "", "no dispatcher is loaded");
	r = loader("metrics", "--once", "127.0.0.1", NULL);
	operator_printed(&r, 2, "", "metrics --once takes no operands");
	r = loader("metrics", NULL);
	operator_printed(&r, 2, "", "metrics takes ADDRESS PORT [PATH], or --once");
	r = loader("metrics", "127.0.0.1", NULL);
	operator_printed(&r, 2, "", "metrics takes ADDRESS PORT [PATH], or --once");
	r = loader("metrics", "localhost", "80", NULL);
	operator_printed(&r, 2, "", "'localhost' is not an IPv4 or IPv6 ADDRESS");
	r = loader("metrics", "127.0.0.1", "65536", NULL);
	operator_printed(&r, 2, "", "port '65536' is not a number from 0 to 65535");
	r = loader("metrics", "127.0.0.1", "80", "metrics", NULL);
	operator_printed(&r, 2, "", "path 'metrics' does not begin with a slash");
	r = loader("metrics", "127.0.0.1", "80", "--timeout", "0", NULL);
	operator_printed(&r, 2, "", "--timeout '0' is not a number of seconds from 1 to 3600");
	r = loader("metrics", "192.0.2.1", "80", NULL);
	operator_printed(&r, 1, "", "cannot listen on 192.0.2.1 port 80");
}

/* ---- HTTP ---- */

static void the_page_is_what_once_prints(void **state)
{
	CLEANUP(command_done) struct command_result once = { 0 };
	CLEANUP_FREE struct answer *a = NULL;
	struct process *p;
	uint16_t port;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
	p = exporter_start(&(struct process_options){ 0 }, NULL, &port);
	once = loader("metrics", "--once", NULL);
	a = ask(port, "GET", "/metrics");
	assert_int_equal(a->status, 200);
	assert_string_equal(a->body, once.out);
	assert_non_null(strcasestr(a->text, "\r\nContent-Type: text/plain; version=0.0.4"));
	free(TAKE_PTR(a));
	a = ask(port, "GET", "/");
	assert_int_equal(a->status, 200);
	assert_string_equal(a->body, once.out);
	assert_string_equal(process_stderr(p), "");
	assert_int_equal(process_stop(p, SIGTERM), 0);
}

static void other_methods_and_paths_are_refused(void **state)
{
	static const char *const operands[] = { "/isomer", NULL };
	CLEANUP_FREE struct answer *a = NULL;
	struct process *p;
	uint16_t port;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	p = exporter_start(&(struct process_options){ 0 }, NULL, &port);
	answers(port, "GET", "/favicon.ico", 404);
	answers(port, "GET", "/metrics/", 404);
	answers(port, "POST", "/metrics", 405);
	answers(port, "DELETE", "/", 405);
	answers(port, "GET", "/metrics?x=y", 200);
	a = ask(port, "POST", "/");
	assert_non_null(strcasestr(a->text, "\r\nAllow: GET, HEAD\r\n"));
	free(TAKE_PTR(a));
	a = ask(port, "HEAD", "/metrics");
	assert_int_equal(a->status, 200);
	assert_string_equal(a->body, "");
	assert_int_equal(process_stop(p, SIGINT), 0);

	p = exporter_start(&(struct process_options){ 0 }, operands, &port);
	answers(port, "GET", "/isomer", 200);
	answers(port, "GET", "/metrics", 404);
	answers(port, "GET", "/", 404);
	assert_int_equal(process_stop(p, SIGTERM), 0);
}

#define FOO_TCP "{label=\"foo\",domain=\"ipv4\",protocol=\"tcp\"} "

static void counters_move(void **state)
{
	CLEANUP_FD int listener = -1;
	struct process *p;
	uint16_t port;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
	p = exporter_start(&(struct process_options){ 0 }, NULL, &port);
	page_has(port, "isomer_lookups_total" FOO_TCP "0");
	page_has(port, "isomer_destination_has_socket" FOO_TCP "0");
	ask_label(7, "127.1.2.3", 80, -ECONNREFUSED);
	page_has(port, "isomer_lookups_total" FOO_TCP "7");
	page_has(port, "isomer_misses_total" FOO_TCP "7");
	listener = serve_foo();
	ask_label(5, "127.1.2.3", 80, 0);
	page_has(port, "isomer_lookups_total" FOO_TCP "12");
	page_has(port, "isomer_misses_total" FOO_TCP "7");
	page_has(port, "isomer_destination_has_socket" FOO_TCP "1");
	assert_int_equal(process_stop(p, SIGTERM), 0);
}

static void an_ipv6_address_will_do(void **state)
{
	const char *argv[] = { loader_path(), "metrics", "::1", "9100", "--timeout", "5s", NULL };
	char page[PAGE_SIZE];
	struct process *p;
	int r;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	p = process_start(&(struct process_options){ .argv = argv });
	process_wait_output(p, "Listening on [::1]:9100\n");
	r = tcp_exchange("::1", 9100, "GET / HTTP/1.0\r\n\r\n", page, sizeof(page));
	assert_return_code(r, -r);
	assert_non_null(strstr(page, "isomer_build_info{"));
	assert_int_equal(process_stop(p, SIGTERM), 0);
}

static void said_once(struct process *p, const char *text)
{
	const char *said = process_stderr(p);

	if (strncmp(said, text, strlen(text)) != 0 || strchr(said, '\n')[1])
		fail_msg("should say once '%s', says '%s'", text, said);
}

/* A scrape without a dispatcher counts as an error, and the next one with a dispatcher works. */
static void it_survives_unload_and_load(void **state)
{
	struct process *p;
	uint16_t port;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
	p = exporter_start(&(struct process_options){ 0 }, NULL, &port);
	page_has(port, "isomer_bindings" FOO_TCP "1");
	page_has(port, "isomer_collection_errors_total 0");

	loader_ok("unload", NULL);
	for (int i = 1; i <= 3; i++) {
		CLEANUP_FREE struct answer *a = ask(port, "GET", "/metrics");
		char line[64];

		assert_int_equal(a->status, 200);
		assert_null(strstr(a->body, "isomer_bindings"));
		snprintf(line, sizeof(line), "isomer_collection_errors_total %d", i);
		has_line(a->body, line);
	}
	said_once(p, "isomer-loader: no dispatcher is loaded in /proc/self/ns/net");

	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
	loader_ok("bind", "foo", "tcp", "127.2.0.0/16", "80", NULL);
	page_has(port, "isomer_bindings" FOO_TCP "2");
	page_has(port, "isomer_collection_errors_total 3");
	assert_int_equal(process_stop(p, SIGTERM), 0);
}

static void a_second_exporter_on_the_port_is_refused(void **state)
{
	struct command_result r;
	struct process *p;
	char text[16];
	uint16_t port;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	p = exporter_start(&(struct process_options){ 0 }, NULL, &port);
	snprintf(text, sizeof(text), "%u", port);
	r = loader("metrics", "127.0.0.1", text, NULL);
	operator_printed(&r, 1, "", ": Address already in use");
	assert_int_equal(process_stop(p, SIGTERM), 0);
}

/* ---- rights ---- */

static void a_member_of_the_group_needs_no_capability(void **state)
{
	static const struct process_options member = { .uid = NOBODY, .gid = GROUP };
	CLEANUP_FD int listener = -1;
	struct process *p;
	uint16_t port;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, "--group", "4242", NULL);
	loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
	listener = serve_foo();
	ask_label(2, "127.1.2.3", 80, 0);
	p = exporter_start(&member, NULL, &port);
	page_has(port, "isomer_lookups_total" FOO_TCP "2");
	page_has(port, "isomer_destination_has_socket" FOO_TCP "1");
	page_has(port, "isomer_collection_errors_total 0");

	/* A state that was loaded since is read as well. */
	loader_ok("unload", NULL);
	loader_ok(OPERATOR_LOAD, "--group", "4242", NULL);
	loader_ok("bind", "foo", "tcp", "127.1.0.0/16", "80", NULL);
	page_has(port, "isomer_lookups_total" FOO_TCP "0");
	assert_string_equal(process_stderr(p), "");
	assert_int_equal(process_stop(p, SIGTERM), 0);
}

static void others_are_told_what_they_lack(void **state)
{
	static const struct process_options other = { .uid = NOBODY, .gid = NOBODY };
	struct process_options once = other;
	const char *argv[] = { loader_path(), "metrics", "--once", NULL };
	struct command_result r;
	struct process *p;
	uint16_t port;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, "--group", "4242", NULL);
	once.argv = argv;
	r = command_run(&once);
	operator_printed(&r, 1, "", "may not be opened by user 65534");
	p = exporter_start(&other, NULL, &port);
	page_has(port, "isomer_collection_errors_total 1");
	page_has(port, "isomer_collection_errors_total 2");
	assert_int_equal(process_stop(p, SIGTERM), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(names_and_labels_are_those_of_the_reference),
		netns_test(promtool_finds_nothing_to_complain_about),
		netns_test(once_tells_what_is_in_the_way),
		netns_test(the_page_is_what_once_prints),
		netns_test(other_methods_and_paths_are_refused),
		netns_test(counters_move),
		netns_test(an_ipv6_address_will_do),
		netns_test(it_survives_unload_and_load),
		netns_test(a_second_exporter_on_the_port_is_refused),
		netns_test(a_member_of_the_group_needs_no_capability),
		netns_test(others_are_told_what_they_lack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
