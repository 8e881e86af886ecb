/* SPDX-License-Identifier: BSD-3-Clause */
/* The library in real servers under valgrind: no report has it in its stack. What the servers do
 * wrong by themselves is not looked at.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "integration/server.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"

/* A file system that ends with the namespaces of the test. */
#define FOLDER "/mnt"

/* Errors and lost memory of each process, with the object of each frame of their stacks. */
#define VALGRIND                                                                                   \
	"valgrind", "--trace-children=yes", "--leak-check=full", "--xml=yes",                      \
		"--xml-file=" FOLDER "/valgrind.%p"

static const char nginx_config[] = "user root;\n"
				   "daemon off;\n"
				   "worker_processes 2;\n"
				   "pid nginx.pid;\n"
				   "error_log stderr notice;\n"
				   "events { }\n"
				   "http {\n"
				   "	access_log off;\n"
				   "	server {\n"
				   "		listen 127.0.0.1:8080 reuseport;\n"
				   "		return 200 \"served.\";\n"
				   "	}\n"
				   "}\n";

static void prepare(const char *program, const char *label, const char *ip, const char *port)
{
	server_need("valgrind");
	server_need(program);
	assert_return_code(mount("test", FOLDER, "tmpfs", 0, NULL), errno);
	loader_ok("load", NULL);
	loader_ok("bind", label, "tcp", ip, port, NULL);
}

static void asks(const char *ip, uint16_t port, const char *question, const char *expected)
{
	char answer[1024];
	int r = tcp_exchange(ip, port, question, answer, sizeof(answer));

	assert_return_code(r, -r);
	if (!strstr(answer, expected))
		fail_msg("expected %s, got:\n%s", expected, answer);
}

/* Fails the test with the report. A signal that ends the program has a stack, too, but is none. */
static void check_file(const char *path)
{
	static char text[1 << 20];
	FILE *f = fopen(path, "re");
	char *report, *end;
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	assert_non_null(strstr(text, "<valgrindoutput>"));
	for (report = strstr(text, "<error>"); report; report = strstr(end + 1, "<error>")) {
		end = strstr(report, "</error>");
		assert_non_null(end);
		*end = '\0';
		if (strstr(report, "libisomer_preload.so</obj>"))
			fail_msg("%s", report);
	}
}

static void check_reports(unsigned int at_least)
{
	CLEANUP_DIR DIR *dir = opendir(FOLDER);
	struct dirent *entry;
	unsigned int n = 0;
	char path[PATH_MAX];

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, "valgrind.", 9) != 0)
			continue;
		snprintf(path, sizeof(path), FOLDER "/%s", entry->d_name);
		check_file(path);
		n++;
	}
	assert_in_range(n, at_least, UINT_MAX);
}

static void nginx_has_no_report_of_the_library(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;
	FILE *f;

	netns_or_skip(state);
	prepare("nginx", "web", "127.0.0.2", "80");
	f = fopen(FOLDER "/nginx.conf", "we");
	assert_non_null(f);
	assert_true(fputs(nginx_config, f) >= 0);
	assert_int_equal(fclose(f), 0);

	p = server_start("ISOMER_LABEL=web",
			 (const char *const[]){ VALGRIND, "nginx", "-p", FOLDER, "-c", "nginx.conf",
						"-e", "stderr", NULL });
	server_wait_registered(p, "web");
	asks("127.0.0.2", 80, "GET / HTTP/1.0\r\n\r\n", "served.");
	assert_return_code(kill(process_pid(p), SIGHUP), errno);
	process_wait_output(p, "signal 17 (SIGCHLD) received");
	asks("127.0.0.2", 80, "GET / HTTP/1.0\r\n\r\n", "served.");
	assert_int_equal(server_stop(TAKE_PTR(p), SIGQUIT), 0);
	check_reports(5); /* the first process, and two workers twice */
}

static void redis_has_no_report_of_the_library(void **state)
{
	CLEANUP(process_stopp) struct process *p = NULL;

	netns_or_skip(state);
	prepare("redis-server", "cache", "127.0.0.2", "6379");
	p = server_start("ISOMER_LABEL=cache",
			 (const char *const[]){ VALGRIND, "redis-server", "--port", "7000",
						"--bind", "127.0.0.1", "--dir", FOLDER, NULL });
	server_wait_registered(p, "cache");
	asks("127.0.0.2", 6379, "PING\r\nQUIT\r\n", "PONG");
	assert_int_equal(server_stop(TAKE_PTR(p), SIGTERM), 0);
	check_reports(1);
}

static void udp_servers_have_no_report_of_the_library(void **state)
{
	static const char *const calls[][2] = { { "recvfrom", "sendto" },
						{ "recvmmsg", "sendmmsg" },
						{ "readv", "writev" } };

	netns_or_skip(state);
	server_need("valgrind");
	assert_return_code(mount("test", FOLDER, "tmpfs", 0, NULL), errno);
	loader_ok("load", NULL);
	loader_ok("bind", "echo", "udp", "127.0.1.0/24", "7000-7001", NULL);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct process *p = server_start(
			"ISOMER_LABEL=echo",
			(const char *const[]){ VALGRIND, guest_path("udp_echo"), calls[i][0],
					       calls[i][1], "0.0.0.0", "7000", NULL });
		char answer[16];

		process_wait_output(p, "ready");
		assert_int_equal(udp_exchange("127.0.1.1", 7000, "text", answer, sizeof(answer)),
				 4);
		process_wait_output(p, "answered 1\n");
		assert_int_equal(udp_exchange("127.0.1.1", 7001, "text", answer, sizeof(answer)),
				 4);
		server_stop(p, SIGTERM);
	}
	check_reports(sizeof(calls) / sizeof(calls[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(nginx_has_no_report_of_the_library),
		netns_test(udp_servers_have_no_report_of_the_library),
		netns_test(redis_has_no_report_of_the_library),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
