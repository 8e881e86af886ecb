/* SPDX-License-Identifier: BSD-3-Clause */
/* Peers of the guest udp_errand. */
#pragma once

#include <stdint.h>

/** Sends a datagram to @ip:@port of IPv4 from each of @n addresses of 127.0.0.0/8, from the
 * @first-th on, and waits until the guest has taken them. */
void udp_crowd_writes(const char *ip, uint16_t port, unsigned first, unsigned n);

/** Sends @errand to @ip:@port, and fails the test unless the guest's "here" comes to @client from
 * @source:@source_port. */
void udp_errand_comes_from(int client, const char *ip, uint16_t port, const char *errand,
			   const char *source, uint16_t source_port);
