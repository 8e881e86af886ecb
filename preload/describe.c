/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/describe.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "state/parse.h"

static const char *address_text(const struct isomer_socket *s, char buffer[INET6_ADDRSTRLEN])
{
	const void *addr = &((const struct sockaddr_in *)&s->local)->sin_addr;

	if (s->local.ss_family == AF_INET6)
		addr = &((const struct sockaddr_in6 *)&s->local)->sin6_addr;
	return inet_ntop(s->local.ss_family, addr, buffer, INET6_ADDRSTRLEN);
}

void describe_socket(struct report *line, const struct isomer_socket *s)
{
	char buffer[INET6_ADDRSTRLEN];

	report_add(line, s->local.ss_family == AF_INET6 ? "%s [%s]:%u" : "%s %s:%u",
		   isomer_protocol_name(s->protocol), address_text(s, buffer), s->port);
}

void describe_operands(struct report *line, const struct isomer_socket *s)
{
	char buffer[INET6_ADDRSTRLEN];

	report_add(line, "%s %s %u", isomer_protocol_name(s->protocol), address_text(s, buffer),
		   s->port);
}
