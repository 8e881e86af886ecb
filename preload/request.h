/* SPDX-License-Identifier: BSD-3-Clause */
/* A socket that is to be registered, and what became of it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "preload/config.h"
#include "state/socket.h"

#define REQUEST_DOMAINS 2

struct request {
	const struct config *config;
	const struct isomer_socket *s;
	int fd;
	const char *label;
	bool by_rule; /* else by ISOMER_LABEL alone */
};

struct outcome {
	bool ambiguous;             /* left alone: the label has another port of this process */
	int slots[REQUEST_DOMAINS]; /* of IPv4 and IPv6: as isomer_slots_put() has it, -1 for
				       none or none new */
	uint64_t netns_inode;       /* of the socket's namespace, if the registrar said so; or 0 */
};

/* In the order of outcome.slots. */
static const uint8_t request_domains[REQUEST_DOMAINS] = { AF_INET, AF_INET6 };

static inline bool request_serves(const struct request *r, uint8_t domain)
{
	return domain == AF_INET6 ? r->s->ipv6 : r->s->ipv4;
}
