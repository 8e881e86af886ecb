/* SPDX-License-Identifier: BSD-3-Clause */
/* A UDP server cannot tell whether it runs under the library: the same calls, on the same traffic,
 * say the same byte for byte.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "integration/registrar_client.h"
#include "state/cleanup.h"
#include "support/netns.h"

static char *output_of(const struct guest_options *options, const char *ip, bool registered)
{
	struct process *p = guest_start(options, "udp_cases", ip, "7000", NULL);
	char *text;

	assert_int_equal(process_wait(p), 0);
	if (registered)
		guest_said(p, "registered udp");
	text = strdup(process_stdout(p));
	assert_non_null(text);
	process_stop(p, SIGKILL);
	return text;
}

/* The first line that differs, with the one that names the case. */
static void assert_same(const char *alone, const char *under)
{
	const char *heading = alone;

	while (*alone || *under) {
		size_t a = strcspn(alone, "\n") + 1, b = strcspn(under, "\n") + 1;

		if (a > 1 && alone[0] != ' ')
			heading = alone;
		if (a != b || memcmp(alone, under, a) != 0)
			fail_msg("%.*salone: %.*sunder: %.*s", (int)strcspn(heading, "\n") + 1,
				 heading, (int)a, alone, (int)b, under);
		alone += a;
		under += b;
	}
}

static void same_on(void **state, const char *ip)
{
	const struct guest_options alone = { .alone = true };
	const struct guest_options under = { .env = { "ISOMER_RULES=foo=udp:*:7000",
						      "ISOMER_LOG=info" } };
	CLEANUP_FREE char *expected = NULL, *seen = NULL;

	netns_or_skip(state);
	guest_dispatcher();
	(void)registrar_start_if_needed();
	expected = output_of(&alone, ip, false);
	seen = output_of(&under, ip, true);
	assert_same(expected, seen);
}

static void ipv4_server_sees_the_same(void **state)
{
	same_on(state, "127.0.0.1");
}

static void ipv4_server_of_all_addresses_sees_the_same(void **state)
{
	same_on(state, "0.0.0.0");
}

static void ipv6_server_sees_the_same(void **state)
{
	same_on(state, "::1");
}

static void dual_stack_server_sees_the_same(void **state)
{
	same_on(state, "::");
}

static void mapped_server_sees_the_same(void **state)
{
	same_on(state, "::ffff:127.0.0.1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(ipv4_server_sees_the_same),
		netns_test(ipv4_server_of_all_addresses_sees_the_same),
		netns_test(ipv6_server_sees_the_same),
		netns_test(dual_stack_server_sees_the_same),
		netns_test(mapped_server_sees_the_same),
	};

	return cmocka_run_group_tests_name("UDP, with and without the library", tests, NULL, NULL);
}
