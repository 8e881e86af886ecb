/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/change.h"

#include "loader/attachments.h"
#include "loader/index.h"
#include "loader/labels.h"

static int read_all(struct change *c)
{
	int r;

	r = attachments_repair(&c->d);
	if (r == 0)
		r = labels_repair(&c->d);
	if (r == 0)
		r = index_sweep(&c->d);
	if (r == 0)
		r = index_read(&c->d, &c->bindings);
	if (r == 0)
		r = destinations_read(&c->d, &c->destinations);
	/* Also now: a server that was not bound may have died since the last change. */
	if (r == 0)
		r = change_collect(c);
	return r;
}

int change_begin(const char *bpffs, const struct netns *ns, struct change *ret, pid_t *ret_holder)
{
	struct change c = CHANGE_NONE;
	int r;

	r = dispatcher_open(bpffs, ns, DISPATCHER_WRITE, &c.d, ret_holder);
	if (r < 0)
		return r;
	r = read_all(&c);
	if (r < 0) {
		change_end(&c);
		return r;
	}

	*ret = c;
	return 0;
}

int change_commit(struct change *c)
{
	int r = index_commit(&c->d, &c->bindings);

	c->refused = r < 0;
	return r < 0 ? r : change_collect(c);
}

int change_collect(struct change *c)
{
	if (c->refused) {
		int r;

		bindings_done(&c->bindings);
		r = index_read(&c->d, &c->bindings);
		if (r < 0)
			return r;
		c->refused = false;
	}
	return labels_collect(&c->d, &c->destinations, &c->bindings);
}

void change_end(struct change *c)
{
	bindings_done(&c->bindings);
	destinations_done(&c->destinations);
	dispatcher_close(&c->d);
}
