/* SPDX-License-Identifier: BSD-3-Clause */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h> /* behind sys/ptrace.h, which has the same names as an enum */

#include <cmocka.h>

#include "support/syscall_killer.h"

/* A stop at a system call, under PTRACE_O_TRACESYSGOOD. */
#define SYSCALL_STOP (SIGTRAP | 0x80)

enum { OUT, ERR, STREAMS };

struct traced {
	pid_t pid;
	enum syscall_set set;
	unsigned int count, marks;
	bool ended, suspended;
	int status; /* of waitpid(), once ended */
	int signal; /* to be delivered when it goes on */
	int file[STREAMS];
	char call[32];
};

/* ---- which calls count ---- */

/* Older names of calls are missing on younger architectures. */
static const struct {
	long nr;
	const char *name;
} changing[] = {
#ifdef __NR_mkdir
	{ __NR_mkdir, "mkdir" },           { __NR_rmdir, "rmdir" },
	{ __NR_rename, "rename" },         { __NR_unlink, "unlink" },
	{ __NR_chmod, "chmod" },           { __NR_chown, "chown" },
	{ __NR_lchown, "lchown" },         { __NR_link, "link" },
	{ __NR_symlink, "symlink" },
#endif
#ifdef __NR_renameat
	{ __NR_renameat, "renameat" },
#endif
	{ __NR_mkdirat, "mkdirat" },       { __NR_renameat2, "renameat2" },
	{ __NR_unlinkat, "unlinkat" },     { __NR_linkat, "linkat" },
	{ __NR_symlinkat, "symlinkat" },   { __NR_fchmod, "fchmod" },
	{ __NR_fchmodat, "fchmodat" },     { __NR_fchown, "fchown" },
	{ __NR_fchownat, "fchownat" },     { __NR_mount, "mount" },
	{ __NR_umount2, "umount2" },       { __NR_flock, "flock" },
	{ __NR_exit_group, "exit_group" },
};

static bool bpf_changes(uint64_t command)
{
	switch (command) {
	case BPF_MAP_UPDATE_ELEM:
	case BPF_MAP_DELETE_ELEM:
	case BPF_MAP_LOOKUP_AND_DELETE_ELEM:
	case BPF_MAP_UPDATE_BATCH:
	case BPF_MAP_DELETE_BATCH:
	case BPF_MAP_FREEZE:
	case BPF_OBJ_PIN:
	case BPF_PROG_ATTACH:
	case BPF_PROG_DETACH:
	case BPF_LINK_CREATE:
	case BPF_LINK_UPDATE:
	case BPF_LINK_DETACH:
		return true;
	default:
		return false;
	}
}

/* Names the call as well. */
static bool is_changing(struct traced *t, const struct ptrace_syscall_info *info)
{
	unsigned long long nr = info->entry.nr;

	if (nr == __NR_bpf) {
		snprintf(t->call, sizeof(t->call), "bpf(%llu)",
			 (unsigned long long)info->entry.args[0]);
		return bpf_changes(info->entry.args[0]);
	}
	for (size_t i = 0; i < sizeof(changing) / sizeof(*changing); i++) {
		if (nr != (unsigned long long)changing[i].nr)
			continue;
		snprintf(t->call, sizeof(t->call), "%s", changing[i].name);
		return true;
	}
	snprintf(t->call, sizeof(t->call), "call %llu", nr);
	return false;
}

static bool is_between_marks(struct traced *t, unsigned long long nr)
{
	if (nr == __NR_getppid) {
		t->marks++;
		return false;
	}
	return t->marks == 1 && nr != __NR_listen && nr != __NR_bind;
}

static bool counts(struct traced *t, const struct ptrace_syscall_info *info)
{
	bool changes = is_changing(t, info);

	if (t->set == SYSCALLS_MARKED)
		return is_between_marks(t, info->entry.nr);
	if (changes)
		return true;
	return t->set == SYSCALLS_ALL && (t->count > 0 || info->entry.nr == __NR_bpf);
}

/* ---- starting ---- */

static _Noreturn void child_main(const struct traced *t, const char *const *argv)
{
	const char *asan = getenv("ASAN_OPTIONS");
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char options[512];

	/* The leak sanitizer traces its process itself, which only one can. */
	snprintf(options, sizeof(options), "%s:detect_leaks=0", asan ? asan : "");
	if (setenv("ASAN_OPTIONS", options, 1) == 0 && dup2(null, STDIN_FILENO) == 0 &&
	    dup2(t->file[OUT], STDOUT_FILENO) == 1 && dup2(t->file[ERR], STDERR_FILENO) == 2 &&
	    ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 && raise(SIGSTOP) == 0)
		execvp(argv[0], (char *const *)argv);
	_exit(127);
}

static void wait_stop(struct traced *t, int options)
{
	pid_t r;

	do
		r = waitpid(t->pid, &t->status, options);
	while (r < 0 && errno == EINTR);
	if (r != t->pid)
		fail_msg("waitpid: %s", strerror(errno));
	t->ended = WIFEXITED(t->status) || WIFSIGNALED(t->status);
}

struct traced *traced_start(const char *const *argv, enum syscall_set set)
{
	struct traced *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->set = set;
	for (int i = 0; i < STREAMS; i++) {
		t->file[i] = memfd_create("traced", MFD_CLOEXEC);
		assert_return_code(t->file[i], errno);
		/* It is one file for all who have the descriptor: append. */
		assert_return_code(fcntl(t->file[i], F_SETFL, O_APPEND), errno);
	}
	t->pid = fork();
	assert_return_code(t->pid, errno);
	if (t->pid == 0)
		child_main(t, argv);
	wait_stop(t, 0);
	if (!WIFSTOPPED(t->status))
		fail_msg("cannot trace %s", argv[0]);
	if (ptrace(PTRACE_SETOPTIONS, t->pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) < 0)
		fail_msg("PTRACE_SETOPTIONS: %s", strerror(errno));
	return t;
}

/* ---- running ---- */

/* Lets it run to the entry of its next counted call, or its end. */
static void next_call(struct traced *t)
{
	struct ptrace_syscall_info info;

	for (;;) {
		if (ptrace(PTRACE_SYSCALL, t->pid, NULL, (void *)(intptr_t)t->signal) < 0)
			fail_msg("PTRACE_SYSCALL: %s", strerror(errno));
		wait_stop(t, 0);
		if (t->ended)
			return;
		t->signal = 0;
		if (WSTOPSIG(t->status) != SYSCALL_STOP) {
			/* Its own signals reach it; the trap is what execve() ends with. */
			if (WSTOPSIG(t->status) != SIGTRAP)
				t->signal = WSTOPSIG(t->status);
			continue;
		}
		if (ptrace(PTRACE_GET_SYSCALL_INFO, t->pid, (void *)sizeof(info), &info) < 0)
			fail_msg("PTRACE_GET_SYSCALL_INFO: %s", strerror(errno));
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY && counts(t, &info))
			return;
	}
}

bool traced_run_to(struct traced *t, unsigned int n)
{
	assert_true(t->count <= n);
	while (!t->ended && t->count < n) {
		next_call(t);
		t->count += !t->ended;
	}
	return !t->ended;
}

unsigned int traced_count(const struct traced *t)
{
	return t->count;
}

pid_t traced_pid(const struct traced *t)
{
	return t->pid;
}

const char *traced_call(const struct traced *t)
{
	return t->call;
}

/* ---- failing ---- */

/* Calls that end something do so, whatever they say; brk() says how far it has got; who one is, and
 * a mask of signals, is nothing that the kernel could lack. */
static bool can_fail(unsigned long long nr)
{
	switch (nr) {
	case __NR_brk:
	case __NR_exit_group:
	case __NR_exit:
	case __NR_getegid:
	case __NR_geteuid:
	case __NR_getgid:
	case __NR_getpid:
	case __NR_gettid:
	case __NR_getuid:
	case __NR_rt_sigprocmask:
	case __NR_rt_sigreturn:
	case __NR_close:
	case __NR_munmap:
		return false;
	default:
		return true;
	}
}

#ifdef __x86_64__
static void set_registers(const struct traced *t, const struct user_regs_struct *registers)
{
	struct iovec iov = { (void *)registers, sizeof(*registers) };

	if (ptrace(PTRACE_SETREGSET, t->pid, (void *)NT_PRSTATUS, &iov) < 0)
		fail_msg("PTRACE_SETREGSET: %s", strerror(errno));
}

void traced_fail(struct traced *t, int error)
{
	struct user_regs_struct registers;
	struct iovec iov = { &registers, sizeof(registers) };

	assert_false(t->ended);
	if (ptrace(PTRACE_GETREGSET, t->pid, (void *)NT_PRSTATUS, &iov) < 0)
		fail_msg("PTRACE_GETREGSET: %s", strerror(errno));
	if (!can_fail(registers.orig_rax))
		return;
	registers.orig_rax = (unsigned long long)-1; /* no call: the kernel does nothing */
	set_registers(t, &registers);
	if (ptrace(PTRACE_SYSCALL, t->pid, NULL, NULL) < 0)
		fail_msg("PTRACE_SYSCALL: %s", strerror(errno));
	wait_stop(t, 0);
	assert_true(WIFSTOPPED(t->status) && WSTOPSIG(t->status) == SYSCALL_STOP);
	registers.rax = (unsigned long long)-error;
	set_registers(t, &registers);
}
#else
#error "how a system call is made to fail differs from processor to processor"
#endif

/* ---- ends ---- */

static void traced_free(struct traced *t)
{
	for (int i = 0; i < STREAMS; i++)
		close(t->file[i]);
	free(t);
}

void traced_kill(struct traced *t)
{
	if (!t->ended) {
		assert_return_code(kill(t->pid, SIGKILL), errno);
		while (!t->ended)
			wait_stop(t, 0);
	}
	traced_free(t);
}

void traced_suspend(struct traced *t)
{
	/* It meets the signal when the call that it stands before has been made. */
	assert_false(t->ended);
	assert_return_code(kill(t->pid, SIGSTOP), errno);
	if (ptrace(PTRACE_DETACH, t->pid, NULL, NULL) < 0)
		fail_msg("PTRACE_DETACH: %s", strerror(errno));
	wait_stop(t, WUNTRACED);
	assert_true(WIFSTOPPED(t->status));
	t->suspended = true;
}

static char *contents(int fd)
{
	struct stat sb;
	char *text;

	assert_return_code(fstat(fd, &sb), errno);
	text = calloc(1, (size_t)sb.st_size + 1);
	assert_non_null(text);
	assert_int_equal(pread(fd, text, (size_t)sb.st_size, 0), sb.st_size);
	return text;
}

struct command_result traced_finish(struct traced *t)
{
	struct command_result r;

	if (t->suspended)
		assert_return_code(kill(t->pid, SIGCONT), errno);
	else if (!t->ended && ptrace(PTRACE_DETACH, t->pid, NULL, NULL) < 0)
		fail_msg("PTRACE_DETACH: %s", strerror(errno));
	while (!t->ended)
		wait_stop(t, 0);
	r.status = WIFEXITED(t->status) ? WEXITSTATUS(t->status) : 128 + WTERMSIG(t->status);
	r.out = contents(t->file[OUT]);
	r.err = contents(t->file[ERR]);
	traced_free(t);
	return r;
}
