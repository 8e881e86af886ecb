/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/attach.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "loader/attachment.h"
#include "loader/attachments.h"
#include "loader/log.h"
#include "loader/operand.h"
#include "loader/process_sockets.h"
#include "state/state.h"

int attach_parse(const char *label, const char *rules, struct attach_rules *ret)
{
	struct isomer_rules_mistake m;
	int status = label ? operand_label(label) : 0;

	if (status)
		return status;
	ret->label = label;
	ret->has_rules = rules;
	if (!rules || isomer_rules_parse(rules, &ret->rules, &m) == 0)
		return 0;
	if (m.rule)
		return log_usage("rule %u of '%s': '%.*s': %s", m.rule, rules, (int)m.len, m.text,
				 m.what);
	return log_usage("the rules are %s", m.what);
}

/* ---- labels ---- */

static int create_labels(struct change *c, const struct attach_rules *rules)
{
	int r = rules->label ? command_create_label(c, rules->label) : 0;

	for (size_t i = 0; r == 0 && rules->has_rules && i < rules->rules.n; i++)
		if (rules->rules.rule[i].label)
			r = command_create_label(c, rules->rules.rule[i].label);
	return r;
}

/* ---- processes ---- */

struct adoption {
	const struct netns *netns;
	struct attachment *attachment;
	bool attached;
	unsigned adopted;
	pid_t refused; /* one whose sockets may not be looked at */
};

static int adopt_socket(int fd, void *arg)
{
	struct adoption *a = arg;
	struct isomer_socket s;
	int r;

	if (isomer_socket_inspect(fd, &s) < 0)
		return 0;
	/* Its answers would leave from elsewhere until then. */
	if (s.protocol == IPPROTO_UDP && !a->attached)
		return 0;
	r = netns_check_socket(a->netns, fd);
	if (r < 0)
		return r == -EXDEV ? 0 : r;
	r = attachment_adopt(a->attachment, fd, &s);
	a->adopted += r > 0;
	return r < 0 ? r : 0;
}

static int adopt_process(pid_t pid, void *arg)
{
	struct adoption *a = arg;
	int r = process_sockets_visit(pid, adopt_socket, a);

	if (r == -EPERM || r == -EACCES) {
		a->refused = pid;
		return 0;
	}
	return r == -ESRCH ? 0 : r; /* it has ended meanwhile */
}

static int check_namespace(pid_t pid, void *arg)
{
	const struct netns *ns = arg;
	uint64_t inode;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	if (isomer_netns_inode(path, &inode) < 0)
		return 0; /* it has ended meanwhile */
	return inode == ns->inode ? 0 : -EXDEV;
}

/* ---- all of it ---- */

static int prepare(const struct context *ctx, struct change *c, const struct cgroup *cg,
		   const struct attach_rules *rules, struct attachment **ret)
{
	int r = attachment_prepare(&c->d, &c->destinations, cg,
				   rules->has_rules ? &rules->rules : NULL, rules->label, ret);

	if (r == -EOPNOTSUPP)
		return log_failure(r,
				   "this kernel has no programs that could register for a cgroup");
	if (r == -ESRCH)
		return log_failure(r, "this kernel has no description of its types "
				      "(/sys/kernel/btf/vmlinux), which the program needs");
	if (r == -EPERM)
		return command_say_not_allowed(ctx, r, "not allowed to load the program");
	if (r < 0)
		return log_failure(r, "cannot load the program for '%s': %m", cg->path);
	if (attachment_knows_netns(*ret) ||
	    cgroup_visit(cg, check_namespace, (void *)&ctx->netns) == 0)
		return 0;
	return log_failure(
		-EXDEV,
		"'%s' has processes of other network namespaces, which this kernel cannot "
		"tell apart there (Linux 5.15 can): attach to a cgroup of this one alone",
		cg->path);
}

static int commit(const struct context *ctx, struct attachment *a, const struct cgroup *cg)
{
	int r = attachment_commit(a);

	if (r == -EPERM)
		return command_say_not_allowed(
			ctx, r,
			"the kernel refuses to attach to the cgroup: another program above it is "
			"attached exclusively, or this user may not");
	return r < 0 ? log_failure(r, "cannot attach to '%s': %m", cg->path) : 0;
}

/* Before and after attaching: a label by itself gets what listens first, and nothing that begins to
 * listen in between is missed. */
static int adopt(const struct cgroup *cg, struct adoption *a)
{
	int r = cgroup_visit(cg, adopt_process, a);

	return r < 0 ? log_failure(r, "cannot register what listens in '%s' already: %m", cg->path)
		     : 0;
}

int attach_cgroup(const struct context *ctx, const struct cgroup *cg,
		  const struct attach_rules *rules, unsigned *ret_adopted)
{
	CLEANUP(change_end) struct change c = CHANGE_NONE;
	CLEANUP(attachment_freep) struct attachment *attachment = NULL;
	struct adoption adoption = { .netns = &ctx->netns };
	int status;

	if (command_begin_change(ctx, &c) < 0)
		return EXIT_FAILURE;
	if (create_labels(&c, rules) < 0)
		status = EXIT_FAILURE;
	else
		status = prepare(ctx, &c, cg, rules, &attachment);
	adoption.attachment = attachment;
	if (status == 0)
		status = adopt(cg, &adoption);
	if (status == 0)
		status = commit(ctx, attachment, cg);
	adoption.attached = true;
	if (status == 0)
		status = adopt(cg, &adoption);
	if (status) {
		(void)change_collect(&c);
		return status;
	}
	if (adoption.refused)
		log_notice("not allowed to look at the sockets of process %d: what listens there "
			   "already is not registered",
			   (int)adoption.refused);

	*ret_adopted = adoption.adopted;
	return 0;
}
