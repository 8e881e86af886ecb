/* SPDX-License-Identifier: BSD-3-Clause */
/* Where UDP servers are asked. */
#pragma once

#include <stdint.h>

#include "support/netns.h"
#include "support/process.h"

/** Loads a dispatcher into the test's namespace whose label "foo" gets all ports of UDP of
 * 198.51.100.0/24 and 2001:db8::/64, which are local. Returns the
 * registrar where this kernel has servers need one; else NULL, and there is none. */
struct process *udp_dispatcher(void **state);

/** Fails the test unless an answer comes from @ip:@port, with what was sent there. */
void udp_ask(const char *ip, uint16_t port, const char *text);
