/* SPDX-License-Identifier: BSD-3-Clause */
#include "integration/udp_asked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "integration/registrar_client.h"
#include "integration/server.h"
#include "support/net.h"

#define PREFIX4 "198.51.100.0/24"
#define PREFIX6 "2001:db8::/64"

struct process *udp_dispatcher(void **state)
{
	netns_or_skip(state);
	loader_ok("load", NULL);
	server_local_prefix(PREFIX4);
	server_local_prefix(PREFIX6);
	loader_ok("bind", "foo", "udp", PREFIX4, "0", NULL);
	loader_ok("bind", "foo", "udp", PREFIX6, "0", NULL);
	return registrar_start_if_needed();
}

void udp_ask(const char *ip, uint16_t port, const char *text)
{
	char answer[64];
	int n = udp_exchange(ip, port, text, answer, sizeof(answer));

	if (n < 0)
		fail_msg("%s port %u: %s", ip, port, strerror(-n));
	assert_string_equal(answer, text);
}
