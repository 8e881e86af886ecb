/* SPDX-License-Identifier: BSD-3-Clause */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loader/caps.h"
#include "loader/cgroup.h"
#include "loader/examine.h"
#include "loader/system_file.h"
#include "state/bpfsys.h"

/* Without these no kernel loads the program. */
#define CAPS_NEEDED (CAPS(CAP_BPF) | CAPS(CAP_PERFMON) | CAPS(CAP_NET_ADMIN))

/* Returns whether a probe that fails tells of the kernel, and not of this user. */
static bool examine_capabilities(const struct context *ctx, struct findings *f)
{
	char missing[CAPS_TEXT_SIZE];

	caps_missing(CAPS_NEEDED, missing);
	if (*missing) {
		findings_add(f, FINDING_BAD, "capabilities",
			     "this user can neither load a dispatcher nor bind traffic",
			     "run it as root, in a container with these capabilities",
			     "missing: %s", missing);
		return false;
	}
	caps_missing(ctx->caps, missing);
	if (*missing)
		findings_add(f, FINDING_NOTE, "capabilities",
			     "entering other namespaces, large rulesets before Linux 5.11, or "
			     "labels granted to others may be refused",
			     "run it with these capabilities, where that matters",
			     "all that loading needs; missing: %s", missing);
	else
		findings_good(f, "capabilities", "all that any command needs");
	return true;
}

static void examine_program(struct findings *f)
{
	int program = libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SK_LOOKUP, NULL);
	int map = libbpf_probe_bpf_map_type(BPF_MAP_TYPE_SOCKMAP, NULL);

	if (program == 1 && map == 1)
		findings_good(f, "kernel", "takes programs at sk_lookup, and maps of sockets");
	else
		findings_add(f, FINDING_BAD, "kernel", "nothing can dispatch",
			     "boot Linux 5.10 or newer with CONFIG_BPF_SYSCALL, CONFIG_NET and "
			     "CONFIG_BPF_STREAM_PARSER or CONFIG_NET_SOCK_MSG",
			     "takes no %s",
			     program == 1 ? "maps of sockets" : "programs at sk_lookup");
}

static void examine_cookies(const struct context *ctx, struct findings *f)
{
	if (ctx->netns.cookie)
		findings_good(f, "namespaces", "a socket tells its network namespace");
	else
		findings_add(f, FINDING_NOTE, "namespaces",
			     "servers register through the registrar alone",
			     "run 'isomer-loader registrar', or boot Linux 5.14 or newer",
			     "sockets do not tell their network namespace");
}

/* A process of its own that gives up all capabilities asks for what is not there. Returns whether
 * it was let, or -errno. */
static int users_may(void)
{
	int fd, r, status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		r = caps_limit(0);
		if (r == 0)
			r = bpfsys_obj_get("/isomer-doctor", 0, &fd);
		_exit(r == -EPERM ? 1 : 0);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void examine_users(struct findings *f)
{
	int r = users_may();

	if (r > 0)
		findings_good(f, "users", "servers of all users may open their label's maps");
	else
		findings_add(f, FINDING_NOTE, "users",
			     "servers without CAP_BPF register through the registrar alone",
			     "run 'isomer-loader registrar'; Linux 5.19 and newer need none",
			     "the kernel refuses bpf() to users (kernel.unprivileged_bpf_disabled "
			     "before 5.19, or a filter)");
}

static void examine_jit(struct findings *f)
{
	char text[SYSTEM_FILE_SIZE];

	if (system_file_read("/proc/sys/net/core/bpf_jit_enable", text) == 0 && !strcmp(text, "0"))
		findings_add(f, FINDING_NOTE, "jit", "each lookup takes several times as long",
			     "sysctl net.core.bpf_jit_enable=1", "programs are interpreted");
}

static void examine_cgroups(struct findings *f)
{
	CLEANUP(cgroup_done) struct cgroup cg = CGROUP_NONE;
	int r = cgroup_open_own(&cg);

	if (r == 0)
		findings_good(f, "cgroups", "cgroup v2 is mounted");
	else
		findings_add(f, FINDING_NOTE, "cgroups",
			     "'attach', and 'run' for static programs, do not work",
			     "mount it: 'mount -t cgroup2 none /sys/fs/cgroup/unified'",
			     "there is no cgroup v2 for this process: %s", strerror(-r));
}

static void examine_lockdown(struct findings *f)
{
	char text[SYSTEM_FILE_SIZE];

	if (system_file_read("/sys/kernel/security/lockdown", text) == 0 &&
	    strstr(text, "[confidentiality]"))
		findings_add(f, FINDING_NOTE, "lockdown",
			     "programs that read kernel memory are refused; those of isomer do not",
			     "nothing, if 'load' works",
			     "the kernel is locked down for confidentiality");
}

void examine_kernel(const struct context *ctx, struct findings *f)
{
	if (examine_capabilities(ctx, f))
		examine_program(f);
	examine_cookies(ctx, f);
	examine_users(f);
	examine_jit(f);
	examine_cgroups(f);
	examine_lockdown(f);
}
