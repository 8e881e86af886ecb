/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/attachment_program.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "attachment.skel.h"
#include "state/cleanup.h"

struct attachment_program {
	struct attachment_bpf *skel;
};

static int reuse_map(struct bpf_map *map, int fd)
{
	return fd < 0 ? 0 : bpf_map__reuse_fd(map, fd);
}

/* Probed, not guessed from the version. */
static bool kernel_has(enum bpf_func_id helper)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_SOCK_OPS, helper, NULL) == 1;
}

int attachment_program_load(const struct dispatcher *d, const struct attachment_maps *reuse,
			    struct attachment_program **ret)
{
	CLEANUP(attachment_program_freep) struct attachment_program *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	if (!kernel_has(BPF_FUNC_skc_to_tcp6_sock))
		return -EOPNOTSUPP;
	p->skel = attachment_bpf__open();
	if (!p->skel)
		return -errno;
	p->skel->rodata->knows_netns = kernel_has(BPF_FUNC_get_netns_cookie);
	r = reuse_map(p->skel->maps.sockets, d->sockets_fd);
	if (r == 0 && reuse)
		r = reuse_map(p->skel->maps.rules, reuse->rules);
	if (r == 0 && reuse)
		r = reuse_map(p->skel->maps.state, reuse->state);
	if (r == 0 && reuse)
		r = reuse_map(p->skel->maps.holder, reuse->holder);
	if (r == 0)
		r = attachment_bpf__load(p->skel);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(p);
	return 0;
}

void attachment_program_freep(struct attachment_program **p)
{
	if (!*p)
		return;
	attachment_bpf__destroy((*p)->skel);
	free(*p);
}

bool attachment_program_knows_netns(const struct attachment_program *p)
{
	return p->skel->rodata->knows_netns;
}

int attachment_program_fd(const struct attachment_program *p)
{
	return bpf_program__fd(p->skel->progs.attachment);
}

struct attachment_maps attachment_program_maps(const struct attachment_program *p)
{
	return (struct attachment_maps){
		.rules = bpf_map__fd(p->skel->maps.rules),
		.state = bpf_map__fd(p->skel->maps.state),
		.holder = bpf_map__fd(p->skel->maps.holder),
	};
}
