/* SPDX-License-Identifier: BSD-3-Clause */
/* run: becomes another program, so that its sockets are registered. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loader/attach.h"
#include "loader/attachments.h"
#include "loader/caps.h"
#include "loader/command.h"
#include "loader/executable.h"
#include "loader/library.h"
#include "loader/log.h"
#include "state/state.h"

/* As env(1) and shells have it. */
#define EXIT_CANNOT_EXECUTE 126
#define EXIT_NOT_FOUND      127

enum {
	VALUE_LABEL,
	VALUE_RULES,
	VALUE_STRICT,
};

static const struct command_option options[] = {
	[VALUE_LABEL] = { "label", true, 'l' },
	[VALUE_RULES] = { "rules", true, 'r' },
	[VALUE_STRICT] = { "strict", false },
	{ NULL },
};

/* What is to become of it. */
struct plan {
	const char *label, *rules; /* by option, else by the environment; NULL: none */
	bool strict;
	struct attach_rules parsed;
	char program[PATH_MAX];
};

/* ---- the environment ---- */

/* Empty counts as unset, as in the library. */
static const char *from_environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static int make_plan(const char *const *values, struct plan *ret)
{
	ret->label = values[VALUE_LABEL];
	ret->rules = values[VALUE_RULES];
	ret->strict = values[VALUE_STRICT];
	if (!ret->label && !ret->rules) {
		ret->label = from_environment("ISOMER_LABEL");
		ret->rules = from_environment("ISOMER_RULES");
	}
	if (!ret->label && !ret->rules)
		return log_usage(
			"run needs --label or --rules, or ISOMER_LABEL or ISOMER_RULES; see "
			"'isomer-loader run --help'");
	return attach_parse(ret->label, ret->rules, &ret->parsed);
}

static int set_or_unset(const char *name, const char *value)
{
	return value ? setenv(name, value, 1) : unsetenv(name);
}

/* What was not said is not left to chance: a variable of the caller would decide otherwise. */
static int set_environment(const struct context *ctx, const struct plan *plan)
{
	int r;

	r = set_or_unset("ISOMER_LABEL", plan->label);
	if (r == 0)
		r = set_or_unset("ISOMER_RULES", plan->rules);
	if (r == 0 && plan->strict)
		r = setenv("ISOMER_ON_ERROR", "fail", 1);
	if (r == 0 && strcmp(ctx->bpffs, ISOMER_BPFFS_DEFAULT) != 0)
		r = setenv("ISOMER_BPFFS", ctx->bpffs, 1);
	return r < 0 ? log_failure(-errno, "cannot set the environment: %m") : 0;
}

/* ---- programs that can be preloaded ---- */

static int preload(void)
{
	char library[PATH_MAX];
	int r = library_find(library);

	if (r == -EINVAL)
		return log_failure(r,
				   "the path of the library, '%s', has a space or a colon, which "
				   "LD_PRELOAD cannot have",
				   library);
	if (r < 0)
		return log_failure(
			r, "cannot use the library '%s': %m; is isomer installed wholly?", library);
	r = library_preload(library);
	return r < 0 ? log_failure(r, "cannot set the environment: %m") : 0;
}

/* ---- those that cannot ---- */

/* Waits for the end of the last process in the cgroup, and removes what is left of it. @gate: comes
 * to its end when the program has been started, or has not. Holds nothing of the caller's. */
static void watch(const struct context *ctx, const struct cgroup *cg, int gate)
{
	CLEANUP(change_end) struct change c = CHANGE_NONE;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t holder;
	char byte;

	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		(void)dup2(null, fd);
	(void)setsid();
	(void)chdir("/");
	while (read(gate, &byte, 1) < 0 && errno == EINTR)
		;
	if (cgroup_remove_when_empty(cg) == 0 &&
	    change_begin(ctx->bpffs, &ctx->netns, &c, &holder) == 0 &&
	    attachment_remove(&c.d, cg->id) == 0)
		(void)change_collect(&c);
}

/* In a process of its own: attaching raises limits, which the program is to find as they were; and
 * who watches is to be nobody's child. Returns an exit status. */
static int attach_and_watch(const struct context *ctx, const struct plan *plan,
			    const struct cgroup *cg, int gate)
{
	unsigned adopted;
	int status = caps_limit(ctx->caps) < 0 ? EXIT_FAILURE : 0;
	pid_t pid;

	if (status == 0)
		status = attach_cgroup(ctx, cg, &plan->parsed, &adopted);
	if (status)
		return status;
	pid = fork();
	if (pid == 0)
		watch(ctx, cg, gate);
	return pid < 0 ? log_failure(-errno, "cannot watch over the cgroup '%s': %m", cg->path) : 0;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILURE;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

static int attach_child(const struct context *ctx, const struct plan *plan, const struct cgroup *cg)
{
	int gate[2], status, r; /* the end for writing closes when this process becomes another */
	pid_t pid;

	if (pipe2(gate, O_CLOEXEC) < 0)
		return log_failure(-errno, "cannot attach to '%s': %m", cg->path);
	pid = fork();
	if (pid == 0) {
		close(gate[1]);
		_exit(attach_and_watch(ctx, plan, cg, gate[0]));
	}
	close(gate[0]);
	if (pid < 0)
		return log_failure(-errno, "cannot attach to '%s': %m", cg->path);
	status = wait_for(pid);
	r = status ? 0 : cgroup_enter(cg);
	return r < 0 ? log_failure(r, "cannot enter the cgroup '%s': %m", cg->path) : status;
}

/* Moves into a cgroup of its own, where every listener is registered. */
static int attach(const struct context *ctx, const struct plan *plan)
{
	CLEANUP(cgroup_done) struct cgroup own = CGROUP_NONE, cg = CGROUP_NONE;
	int status, r;

	r = cgroup_open_own(&own);
	if (r == 0)
		r = cgroup_make_child(&own, &cg);
	if (r < 0)
		return log_failure(r, "cannot make a cgroup below '%s': %m",
				   *own.path ? own.path : "that of this process");
	status = attach_child(ctx, plan, &cg);
	if (status)
		(void)rmdir(cg.path);
	return status;
}

/* ---- the program ---- */

static int say_cannot_execute(int r, const char *name)
{
	log_failure(r, "cannot run '%s': %m", name);
	return r == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
}

/* Returns 0 when it may start, else an exit status. */
static int prepare(const struct context *ctx, const struct plan *plan)
{
	struct executable e;
	int r = executable_inspect(plan->program, &e), status;

	if (r < 0)
		return say_cannot_execute(r, plan->program);
	if (e.kind == EXECUTABLE_PRELOADABLE) {
		status = preload();
	} else {
		log_notice(
			"'%s' %s: its TCP sockets are registered through a cgroup, its UDP sockets "
			"are not",
			e.path, executable_reason(e.kind));
		status = attach(ctx, plan);
	}
	if (status && !plan->strict) {
		log_notice("'%s' starts all the same, and is not registered", plan->program);
		status = 0;
	}
	return status;
}

static int run(const struct context *ctx, char **args, int n, const char *const *values)
{
	static struct plan plan; /* too big for a stack */
	int r, status;

	(void)n;

	status = make_plan(values, &plan);
	if (status)
		return status;
	r = executable_find(args[0], plan.program);
	if (r < 0)
		return say_cannot_execute(r, args[0]);
	status = prepare(ctx, &plan);
	if (status == 0)
		status = set_environment(ctx, &plan);
	if (status)
		return status;

	/* Not the path that was found: the program may look at its name. */
	execvp(args[0], args);
	return say_cannot_execute(-errno, args[0]);
}

const struct command cmd_run = {
	.name = "run",
	.operands = "[--] COMMAND [ARG...]",
	.summary = "start a program whose sockets are registered",
	.help = "Becomes COMMAND, with the preload library in LD_PRELOAD and the variables that it reads;\n"
		"nothing else of the process is changed. Without options ISOMER_LABEL and ISOMER_RULES of\n"
		"the environment count. Says beforehand why a program cannot be preloaded (static, Go,\n"
		"another libc, setuid, another machine), and puts such a one into a cgroup of its own,\n"
		"below the present one, that is attached as by 'attach' and removed behind its last\n"
		"process; that takes the rights of 'attach'.\n"
		"\n"
		"Options:\n"
		"  -l, --label LABEL  register under LABEL what no rule decides\n"
		"  -r, --rules RULES  LABEL=PROTOCOL:ADDRESS:PORT;... the first that matches decides\n"
		"  --strict           do not start what cannot be registered; listen() and bind() fail\n"
		"                     where registering does (ISOMER_ON_ERROR=fail)\n"
		"\n"
		"Exit status: that of COMMAND; 126 when it cannot be executed, 127 when it is not found;\n"
		"1 and 2 as for all commands.\n"
		"\n"
		"Examples:\n"
		"  isomer-loader run -l web -- nginx -g 'daemon off;'\n"
		"  isomer-loader run -r 'web=tcp:*:80;tls=tcp:*:443' -- haproxy -f /etc/haproxy/haproxy.cfg\n",
	.min_args = 1,
	.max_args = INT_MAX,
	.becomes_other = true,
	.options = options,
	.caps = CAPS_CHANGE | CAPS_OWNERS, /* for the cgroup; COMMAND keeps all */
	.run = run,
};
