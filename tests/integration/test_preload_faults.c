/* SPDX-License-Identifier: BSD-3-Clause */
/* The library in a server, with one of its system calls failing, each in turn: the server goes on,
 * and finds everything as its own call left it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "state/cleanup.h"
#include "support/syscall_killer.h"

static const int errors[] = { ENOMEM, EPERM, EINTR, EIO };

/* Returns false when the library made fewer calls than @n. */
static bool fail_at(const char *const *argv, unsigned int n, int error)
{
	CLEANUP(command_done) struct command_result r = { 0 };
	struct traced *t = traced_start(argv, SYSCALLS_MARKED);
	bool failed = traced_run_to(t, n);
	char call[64] = "";

	if (failed) {
		snprintf(call, sizeof(call), "%s", traced_call(t));
		traced_fail(t, error);
	}
	r = traced_finish(t);
	if (r.status != 0)
		fail_msg("call %u, %s, failed with %s: exit status %d\n%s", n, call,
			 strerror(error), r.status, r.err);
	return failed;
}

static void fail_everywhere(const char *protocol, const char *variable)
{
	char preload[4096];
	const char *argv[] = {
		"env",    preload, "ISOMER_LABEL=foo", variable, guest_path("carries_on"),
		protocol, NULL
	};
	unsigned int points = 0;

	guest_dispatcher();
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", preload_path());
	for (size_t e = 0; e < sizeof(errors) / sizeof(*errors); e++)
		for (unsigned int n = 1; fail_at(argv, n, errors[e]); n++)
			points++;
	printf("%u calls that fail\n", points);
	/* The walk to the slots alone is more than that, for each error. */
	assert_in_range(points, 10 * sizeof(errors) / sizeof(*errors), UINT32_MAX);
}

/* An answer from another address or port: it comes from there, or the server hears that it does
 * not. @least: calls that are in any case the library's own. */
static void fail_answers(const char *ip, const char *port, unsigned int least)
{
	char preload[4096];
	const char *argv[] = { "env", preload, "ISOMER_LABEL=foo", guest_path("udp_carries_on"), ip,
			       port,  NULL };
	unsigned int points = 0;

	guest_dispatcher();
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", preload_path());
	loader_ok("bind", "foo", "udp", "127.0.9.0/24", "1000-1002", NULL);
	for (size_t e = 0; e < sizeof(errors) / sizeof(*errors); e++)
		for (unsigned int n = 1; fail_at(argv, n, errors[e]); n++)
			points++;
	printf("%u calls that fail\n", points);
	assert_in_range(points, least * sizeof(errors) / sizeof(*errors), UINT32_MAX);
}

static void answering_from_another_address_goes_on(void **state)
{
	netns_or_skip(state);
	fail_answers("127.0.9.9", "1001", 3);
}

static void answering_from_another_port_goes_on(void **state)
{
	netns_or_skip(state);
	fail_answers("127.0.9.9", "1002", 12);
}

static void listening_goes_on(void **state)
{
	netns_or_skip(state);
	fail_everywhere("tcp", "ISOMER_LOG=debug");
}

static void binding_goes_on(void **state)
{
	netns_or_skip(state);
	fail_everywhere("udp", "ISOMER_LOG=debug");
}

static void listening_by_way_of_a_registrar_goes_on(void **state)
{
	netns_or_skip(state);
	fail_everywhere("tcp", "ISOMER_VIA=registrar");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(listening_goes_on),
		netns_test(binding_goes_on),
		netns_test(answering_from_another_address_goes_on),
		netns_test(answering_from_another_port_goes_on),
		netns_test(listening_by_way_of_a_registrar_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
