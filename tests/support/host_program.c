/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>
#include <sys/socket.h>

#include "support/host_program.h"

struct bpf_sk_lookup host_packet(const struct model_lookup *l)
{
	struct bpf_sk_lookup ctx;

	memset(&ctx, 0, sizeof(ctx));
	ctx.family = l->domain;
	ctx.protocol = l->protocol;
	ctx.local_port = l->port;
	if (l->domain == AF_INET)
		memcpy(&ctx.local_ip4, l->addr, sizeof(ctx.local_ip4));
	else
		memcpy(ctx.local_ip6, l->addr, sizeof(ctx.local_ip6));
	/* From anywhere: nothing comes from port 0. */
	ctx.remote_port = 1;
	return ctx;
}
