/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "loader/examine.h"
#include "loader/local_routes.h"

/* Bindings that are looked at; each is compared with each route. */
#define LOOKED_AT 10000

/* The first binding none of whose addresses is this host's, or NULL. */
static const struct isomer_binding *find_foreign(const struct bindings *bindings,
						 const struct local_routes *routes)
{
	for (size_t i = 0; i < bindings->n && i < LOOKED_AT; i++) {
		const struct isomer_binding *b = &bindings->entries[i];
		struct isomer_prefix prefix = { .domain = b->domain, .len = b->prefixlen };

		memcpy(prefix.addr, b->addr, sizeof(prefix.addr));
		if (!local_routes_meet(routes, &prefix))
			return b;
	}
	return NULL;
}

void examine_routes(const struct context *ctx, struct findings *f)
{
	CLEANUP(dispatcher_close) struct dispatcher d = DISPATCHER_NONE;
	CLEANUP(snapshot_done) struct snapshot s = SNAPSHOT_NONE;
	CLEANUP(local_routes_done) struct local_routes routes = LOCAL_ROUTES_NONE;
	const struct isomer_binding *foreign;
	char text[PREFIX_TEXT_SIZE];

	/* No dispatcher, or none that can be read, which was told. */
	if (snapshot_take(ctx->bpffs, &ctx->netns, &d, &s) < 0 || s.bindings.n == 0)
		return;
	if (local_routes_read(&routes) < 0)
		return;
	foreign = find_foreign(&s.bindings, &routes);
	if (!foreign) {
		findings_good(f, "routes", "what is bound are addresses of this host");
		return;
	}
	binding_prefix_text(foreign, text);
	findings_add(f, FINDING_NOTE, "routes", "its packets come to no socket here",
		     "'ip route add local PREFIX dev lo'",
		     "%s, for one, is bound, but no address of it is this host's", text);
}
