/* SPDX-License-Identifier: BSD-3-Clause */
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

#include "integration/server.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"

void server_need(const char *program)
{
	const char *dir = getenv("PATH"), *end;
	char path[4096];

	for (; dir && *dir; dir = *end ? end + 1 : end) {
		end = strchrnul(dir, ':');
		snprintf(path, sizeof(path), "%.*s/%s", (int)(end - dir), dir, program);
		if (access(path, X_OK) == 0)
			return;
	}
	skip_or_fail(program);
}

const char *server_python(void)
{
	return access("/usr/bin/python3", X_OK) == 0 ? "/usr/bin/python3" : "python3";
}

const char *server_script(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), ISOMER_SERVER_SCRIPTS "/%s", name);
	return path;
}

struct process *server_start(const char *variable, const char *const *argv)
{
	CLEANUP_FREE char *preload = NULL;

	assert_true(asprintf(&preload, "LD_PRELOAD=%s", preload_path()) > 0);
	return process_start(&(struct process_options){
		.argv = argv,
		.env = (const char *const[]){ preload, variable, "ISOMER_LOG=info", NULL },
	});
}

void server_wait_registered(struct process *p, const char *label)
{
	char text[300];

	snprintf(text, sizeof(text), " under '%s': ", label);
	process_wait_output(p, text);
}

struct process *server_start_tcp(const char *label, const char *name, const char *ip, uint16_t port,
				 unsigned sockets)
{
	char variable[300], port_text[8], sockets_text[8];
	struct process *p;

	snprintf(variable, sizeof(variable), "ISOMER_LABEL=%s", label);
	snprintf(port_text, sizeof(port_text), "%u", port);
	snprintf(sockets_text, sizeof(sockets_text), "%u", sockets);
	p = server_start(variable,
			 (const char *const[]){ server_python(), server_script("server_tcp.py"),
						name, ip, port_text, sockets_text, NULL });
	process_wait_output(p, "listening");
	return p;
}

static void check_no_complaint(struct process *p)
{
	static const char good[] = "]: registered ";
	const char *line = process_stderr(p);

	while ((line = strstr(line, "isomer: "))) {
		size_t len = strcspn(line, "\n");

		if (!memmem(line, len, good, strlen(good)))
			fail_msg("the library complained: %.*s", (int)len, line);
		line += len;
	}
}

int server_stop(struct process *p, int signal)
{
	check_no_complaint(p);
	return process_stop(p, signal);
}

void server_ask(const char *ip, uint16_t port, char ret_name[32])
{
	char greeting[128], expected[128];
	int r = tcp_exchange(ip, port, "bye\n", greeting, sizeof(greeting));

	if (r < 0)
		fail_msg("%s port %u: %s", ip, port, strerror(-r));
	assert_int_equal(sscanf(greeting, "%31s", ret_name), 1);
	snprintf(expected, sizeof(expected), "%s %s %u\n", ret_name, ip, port);
	assert_string_equal(greeting, expected);
}

void server_answers(const char *ip, uint16_t port, const char *name)
{
	char got[32];

	server_ask(ip, port, got);
	if (strcmp(got, name) != 0)
		fail_msg("%s port %u is answered by %s, expected %s", ip, port, got, name);
}

void server_refuses(const char *ip, uint16_t port)
{
	CLEANUP_FD int fd = tcp_connect(ip, port);

	if (fd != -ECONNREFUSED)
		fail_msg("%s port %u is not refused: %s", ip, port,
			 fd < 0 ? strerror(-fd) : "connected");
}

void server_local_prefix(const char *prefix)
{
	CLEANUP(command_done) struct command_result r = command_run(&(struct process_options){
		.argv = (const char *const[]){ "ip", "route", "add", "local", prefix, "dev", "lo",
					       NULL } });

	if (r.status != 0)
		fail_msg("cannot make %s local: %s", prefix, r.err);
}
