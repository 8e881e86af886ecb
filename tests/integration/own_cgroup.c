/* SPDX-License-Identifier: BSD-3-Clause */
#include "integration/own_cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "loader/cgroup.h"
#include "state/cleanup.h"
#include "support/netns.h"

#define ARGS_MAX 16

void own_cgroup_make(struct own_cgroup *ret)
{
	CLEANUP(cgroup_done) struct cgroup own = CGROUP_NONE;

	if (cgroup_open_own(&own) < 0)
		skip_or_fail("cgroup v2");
	/* By no number of a process: one that was killed has left its own, and there are others'.
	 */
	snprintf(ret->path, sizeof(ret->path), "%.*s/isomer-test-XXXXXX", PATH_MAX - 64, own.path);
	if (!mkdtemp(ret->path) || chmod(ret->path, 0755) < 0)
		fail_msg("cannot make %s: %s", ret->path, strerror(errno));
}

/* Linux 5.14; before, whoever is in it was ended by the test. */
static void kill_all(const struct cgroup *cg)
{
	CLEANUP_FD int fd = openat(cg->fd, "cgroup.kill", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "1", 1) != 1)
		fail_msg("cannot end what is in %s: %s", cg->path, strerror(errno));
}

void own_cgroup_done(struct own_cgroup *cg)
{
	CLEANUP(cgroup_done) struct cgroup opened = CGROUP_NONE;

	if (!*cg->path || cgroup_open(cg->path, &opened) < 0)
		return;
	kill_all(&opened);
	assert_int_equal(cgroup_remove_when_empty(&opened), 0);
	cg->path[0] = '\0';
}

struct process *own_cgroup_start(const struct own_cgroup *cg, const char *program, ...)
{
	const char *argv[ARGS_MAX] = { "/bin/sh", "-c",
				       "echo 0 >\"$0/cgroup.procs\" && exec \"$@\"", cg->path,
				       program };
	struct process *p;
	va_list args;

	va_start(args, program);
	for (size_t i = 5; i < ARGS_MAX - 1 && (argv[i] = va_arg(args, const char *)); i++)
		;
	va_end(args);
	p = process_start(&(struct process_options){ .argv = argv });
	process_wait_output(p, "ready");
	return p;
}
