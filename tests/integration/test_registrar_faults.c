/* SPDX-License-Identifier: BSD-3-Clause */
/* A registrar whose calls or allocations fail, in it and in each of its workers the same: it goes
 * on or says why it ends; the server that asks it goes on; and the state is as good as before.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "integration/no_memory.h"
#include "integration/server.h"
#include "state/cleanup.h"
#include "support/netns.h"
#include "support/state_checker.h"

/* A file system that ends with the namespaces of the test. */
#define FOLDER "/run"
#define LOG    FOLDER "/strace"

/* A sanitizer's runtime takes a failure of its own calls for the end of the program. */
#ifndef __SANITIZE_ADDRESS__
static const char *const calls[] = {
	"accept4",   "bind",       "bpf",       "capget", "capset",     "chdir",    "chmod",
	"clone",     "getsockopt", "listen",    "mkdir",  "newfstatat", "openat",   "pipe2",
	"poll",      "read",       "recvmsg",   "rename", "sendmsg",    "setfsgid", "setfsuid",
	"setgroups", "setsockopt", "signalfd4", "socket", "statfs",     "wait4",
};

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
static struct process *start_with_fault(const char *call, unsigned int n)
{
	char trace[64], inject[96];

	snprintf(trace, sizeof(trace), "trace=%s", call);
	snprintf(inject, sizeof(inject), "inject=%s:error=ENOMEM:when=%u", call, n);
	return process_start(&(struct process_options){
		.argv = (const char *const[]){ "strace", "-D", "-f", "-qq", "-o", LOG, "-e", trace,
					       "-e", inject, loader_path(), "registrar", NULL } });
}
#endif

static struct process *start_without_memory(const struct no_memory *m)
{
	return process_start(&(struct process_options){
		.argv = (const char *const[]){ loader_path(), "registrar", NULL },
		.env = m->env,
		.pass_fd = m->note });
}

static void ask_as_a_server(const char *what, unsigned int n)
{
	char preload[4096];
	CLEANUP(command_done) struct command_result r = { 0 };

	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", preload_path());
	r = command_run(&(struct process_options){
		.argv = (const char *const[]){ guest_path("carries_on"), "tcp", NULL },
		.env = (const char *const[]){ preload, "ISOMER_LABEL=foo", "ISOMER_VIA=registrar",
					      NULL } });
	if (r.status != 0)
		fail_msg("%s %u failed: %s", what, n, r.err);
}

/* The dynamic linker makes some of the calls too, before there is a registrar: it ends the
 * program. */
static bool ended_by_the_linker(struct process *p, int status)
{
	return status == 127 && strstr(process_stderr(p), "error while loading shared libraries");
}

static void check_registrar(const struct netns_fixture *ns, struct process *p, const char *what,
			    unsigned int n)
{
	bool listens = process_wait_output_or_end(p, "Listening on ");
	int status;

	ask_as_a_server(what, n);
	process_signal(p, SIGTERM);
	status = process_wait(p);
	if (!(status == 0 && listens) &&
	    !(status == 1 && strstr(process_stderr(p), "isomer-loader: ")) &&
	    !ended_by_the_linker(p, status))
		fail_msg("%s %u failed: exit status %d\n%s", what, n, status, process_stderr(p));
	state_check(ns);
}

/* Both return whether it came to that. */

#ifndef __SANITIZE_ADDRESS__
static bool fail_call(const struct netns_fixture *ns, const char *call, unsigned int n)
{
	CLEANUP(process_stopp) struct process *p = start_with_fault(call, n);

	check_registrar(ns, p, call, n);
	return was_injected();
}
#endif

static bool fail_allocation(const struct netns_fixture *ns, unsigned int n)
{
	CLEANUP(no_memory_done) struct no_memory m;
	CLEANUP(process_stopp) struct process *p = NULL;

	no_memory_at(n, &m);
	p = start_without_memory(&m);
	check_registrar(ns, p, "allocation", n);
	return no_memory_came(&m);
}

static void prepare(void)
{
	assert_return_code(mount("test", FOLDER, "tmpfs", 0, "mode=0755"), errno);
	guest_dispatcher();
}

#ifndef __SANITIZE_ADDRESS__
static void a_registrar_whose_calls_fail_breaks_nothing(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	unsigned int points = 0;

	server_need("strace");
	prepare();
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		for (unsigned int n = 1; fail_call(ns, calls[i], n); n++)
			points++;
	printf("%u calls that fail\n", points);
	assert_true(points > sizeof(calls) / sizeof(*calls));
}
#endif

static void a_registrar_without_memory_breaks_nothing(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);
	unsigned int points = 0;

	prepare();
	while (fail_allocation(ns, points + 1))
		points++;
	printf("%u allocations that fail\n", points);
	assert_true(points > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifndef __SANITIZE_ADDRESS__
		netns_test(a_registrar_whose_calls_fail_breaks_nothing),
#endif
		netns_test(a_registrar_without_memory_breaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
