/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/way.h"

#include <errno.h>

#include "preload/direct.h"
#include "preload/registrar.h"

/* Can the registrar do better? It sees other mounts, looks into the socket's own namespace, and may
 * call bpf() where this process may not. What a user has no right to, it refuses as well. */
static bool may_help(const struct failure *f)
{
	return f->stage == FAILURE_SECCOMP || f->stage == FAILURE_STATE ||
	       f->stage == FAILURE_NETNS || (f->stage == FAILURE_LABEL && f->error == -EPERM);
}

/* What is to be told when neither way worked: what the registrar said, or why the direct way did
 * not work, and that there is no registrar. */
static int merge(const struct failure *registrar, struct failure *direct)
{
	if (registrar->stage == FAILURE_REGISTRAR)
		direct->registrar = registrar->error;
	else
		*direct = *registrar;
	return -1;
}

int way_check(const struct request *r, struct failure *ret_failure)
{
	struct failure f;

	if (r->config->via == CONFIG_REGISTRAR)
		return registrar_check(r, ret_failure);
	if (direct_check(r, ret_failure) == 0)
		return 0;
	if (r->config->via == CONFIG_BPF || !may_help(ret_failure))
		return -1;
	return registrar_check(r, &f) == 0 ? 0 : merge(&f, ret_failure);
}

int way_register(const struct request *r, struct outcome *ret, struct failure *ret_failure)
{
	struct failure f;

	if (r->config->via == CONFIG_REGISTRAR)
		return registrar_register(r, ret, ret_failure);
	if (direct_register(r, ret, ret_failure) == 0)
		return 0;
	if (r->config->via == CONFIG_BPF || !may_help(ret_failure))
		return -1;
	return registrar_register(r, ret, &f) == 0 ? 0 : merge(&f, ret_failure);
}
