/* SPDX-License-Identifier: BSD-3-Clause */
/* A registrar whose calls fail, in it and in each of its workers the same: it goes on or says why
 * it ends; the server that asks it goes on; and the state is as good as before.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "integration/server.h"
#include "state/cleanup.h"
#include "support/netns.h"
#include "support/state_checker.h"

/* A file system that ends with the namespaces of the test. */
#define FOLDER "/run"
#define LOG    FOLDER "/strace"

/* Not those that the dynamic linker makes too: it ends the program. */
static const char *const calls[] = { "accept4",   "bpf",        "capset",    "chmod",
				     "clone",     "getsockopt", "listen",    "pipe2",
				     "poll",      "recvmsg",    "rename",    "sendmsg",
				     "setgroups", "setsockopt", "signalfd4", "socket",
				     "statfs" };

static bool was_injected(void)
{
	static char text[1 << 20];
	CLEANUP_FD int fd = open(LOG, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_return_code(fd, errno);
	n = read(fd, text, sizeof(text) - 1);
	assert_return_code(n, errno);
	text[n] = '\0';
	return strstr(text, "(INJECTED)");
}

/* -D: the registrar is ours and not strace's. */
static struct process *start_registrar(const char *call, unsigned int n)
{
	char trace[64], inject[96];
	struct process *p;

	snprintf(trace, sizeof(trace), "trace=%s", call);
	snprintf(inject, sizeof(inject), "inject=%s:error=ENOMEM:when=%u", call, n);
	p = process_start(&(struct process_options){
		.argv = (const char *const[]){ "strace", "-D", "-f", "-qq", "-o", LOG, "-e", trace,
					       "-e", inject, loader_path(), "registrar", NULL } });
	/* "Listening on /run/isomer/…", or what is wrong. */
	process_wait_output(p, "isomer");
	return p;
}

static void ask_as_a_server(const char *call, unsigned int n)
{
	char preload[4096];
	CLEANUP(command_done) struct command_result r = { 0 };

	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", preload_path());
	r = command_run(&(struct process_options){
		.argv = (const char *const[]){ guest_path("carries_on"), "tcp", NULL },
		.env = (const char *const[]){ preload, "ISOMER_LABEL=foo", "ISOMER_VIA=registrar",
					      NULL } });
	if (r.status != 0)
		fail_msg("call %u of %s failed: %s", n, call, r.err);
}

/* Returns whether the call was made as often as that. */
static bool fail_at(const struct netns_fixture *ns, const char *call, unsigned int n)
{
	CLEANUP(process_stopp) struct process *p = start_registrar(call, n);
	bool listens = strstr(process_stdout(p), "Listening on ");
	int status;

	ask_as_a_server(call, n);
	/* It may be about to end by itself, and to say why. */
	process_signal(p, SIGTERM);
	status = process_wait(p);
	if (!(status == 0 && listens) &&
	    !(status == 1 && strstr(process_stderr(p), "isomer-loader: ")))
		fail_msg("call %u of %s failed: exit status %d\n%s", n, call, status,
			 process_stderr(p));
	state_check(ns);
	return was_injected();
}

static void a_registrar_whose_calls_fail_breaks_nothing(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	unsigned int points = 0;

	server_need("strace");
	assert_return_code(mount("test", FOLDER, "tmpfs", 0, "mode=0755"), errno);
	guest_dispatcher();
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		for (unsigned int n = 1; fail_at(ns, calls[i], n); n++)
			points++;
	printf("%u calls that fail\n", points);
	assert_true(points > sizeof(calls) / sizeof(*calls));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(a_registrar_whose_calls_fail_breaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
