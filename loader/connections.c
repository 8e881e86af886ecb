/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/connections.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/cleanup.h"

/* An end of a connection as the kernel's tables have it: IPv4 addresses of IPv6 sockets mapped. */
struct end {
	uint8_t addr[16];
	unsigned port;
};

static struct end end_of(uint8_t domain, const uint8_t *addr, uint16_t port)
{
	struct end end = { .port = port };

	if (domain == AF_INET6) {
		memcpy(end.addr, addr, 16);
		return end;
	}
	memset(&end.addr[10], 0xff, 2);
	memcpy(&end.addr[12], addr, 4);
	return end;
}

/* "0100007F:1F90": words of the address in host order, in hexadecimal. */
static bool parse_end(const char *text, struct end *ret)
{
	size_t digits = strcspn(text, ":");
	uint32_t words[4] = { 0 };
	char word[9] = "";

	if ((digits != 8 && digits != 32) || sscanf(text + digits, ":%4x", &ret->port) != 1)
		return false;
	for (size_t i = 0; i < digits / 8; i++) {
		memcpy(word, text + 8 * i, 8);
		words[i] = (uint32_t)strtoul(word, NULL, 16);
	}
	if (digits == 32)
		memcpy(ret->addr, words, 16);
	else
		*ret = end_of(AF_INET, (const uint8_t *)words, (uint16_t)ret->port);
	return true;
}

static int search(const char *path, const struct end *local, const struct end *remote)
{
	char line[256], a[64], b[64];
	struct end x, y;
	int found = 0;
	FILE *table = fopen(path, "re");

	if (!table)
		return errno == ENOENT ? 0 : -errno; /* no IPv6 */
	while (!found && fgets(line, sizeof(line), table))
		found = sscanf(line, " %*u: %63s %63s", a, b) == 2 && parse_end(a, &x) &&
			parse_end(b, &y) && !memcmp(x.addr, local->addr, 16) &&
			x.port == local->port && !memcmp(y.addr, remote->addr, 16) &&
			y.port == remote->port;
	fclose(table);
	return found;
}

int connections_find(const struct target *target, const struct isomer_prefix *remote,
		     uint16_t remote_port)
{
	struct end here = end_of(target->domain, target->addr, target->port);
	struct end there = end_of(remote->domain, remote->addr, remote_port);
	bool tcp = target->protocol == IPPROTO_TCP;
	int r = 0;

	if (target->domain == AF_INET)
		r = search(tcp ? "/proc/thread-self/net/tcp" : "/proc/thread-self/net/udp", &here,
			   &there);
	if (r == 0)
		r = search(tcp ? "/proc/thread-self/net/tcp6" : "/proc/thread-self/net/udp6", &here,
			   &there);
	return r;
}
