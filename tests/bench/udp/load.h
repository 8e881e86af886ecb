/* SPDX-License-Identifier: BSD-3-Clause */
/* Clients of an echo server. An answer from another address or port than the one that was asked is
 * none; when none comes, they end the program.
 */
#pragma once

#include <stdint.h>

/** Sends @n datagrams to @ip:@port, with up to 32 on their way, and waits for all answers. */
void load_steady(const char *ip, uint16_t port, unsigned n);

/** Sends one datagram each to @n ports from @first on, with up to 16 on their way, each from a
 * socket of its own. */
void load_ports(const char *ip, uint16_t first, unsigned n);
