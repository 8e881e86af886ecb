/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/answers.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#include "answers.skel.h"
#include "loader/attachments.h"
#include "state/bpfsys.h"
#include "state/cleanup.h"

struct answers {
	struct answers_bpf *skel;
};

int answers_load(struct answers **ret)
{
	CLEANUP(answers_freep) struct answers *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	a->skel = answers_bpf__open();
	if (!a->skel)
		return -errno;
	r = answers_bpf__load(a->skel);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(a);
	return 0;
}

void answers_freep(struct answers **a)
{
	if (!*a)
		return;
	answers_bpf__destroy((*a)->skel);
	free(*a);
}

int answers_add(const struct answers *a, int fd)
{
	uint32_t one = 1;

	return bpfsys_map_update(bpf_map__fd(a->skel->maps.answering), &fd, &one, BPF_ANY);
}

static int attach(const struct dispatcher *d, const struct bpf_program *program, int cgroup_fd,
		  const char *folder, enum attachment_pin pin)
{
	CLEANUP_FD int link = bpf_link_create(bpf_program__fd(program), cgroup_fd,
					      bpf_program__expected_attach_type(program), NULL);

	return link < 0 ? -errno : attachment_pin(d, folder, pin, link);
}

int answers_attach(const struct answers *a, const struct dispatcher *d, int cgroup_fd,
		   const char *folder)
{
	int r = attach(d, a->skel->progs.note, cgroup_fd, folder, ATTACHMENT_NOTE);

	if (r == 0)
		r = attach(d, a->skel->progs.answer4, cgroup_fd, folder, ATTACHMENT_ANSWER4);
	if (r == 0)
		r = attach(d, a->skel->progs.answer6, cgroup_fd, folder, ATTACHMENT_ANSWER6);
	return r;
}
