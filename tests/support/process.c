/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "state/cleanup.h"
#include "support/environment.h"
#include "support/leftover.h"
#include "support/process.h"

#define TIMEOUT_MS   120000 /* Java, or anything under valgrind, starts slowly on a busy machine */
#define PORT_TICK_NS 10000000 /* 10 ms */
#define ARGS_MAX     64

enum { OUT, ERR, STREAMS };

struct process {
	struct process *next; /* in @started */
	pid_t pid;
	int pidfd;
	bool ended;
	int status;
	int file[STREAMS];
	char *text[STREAMS]; /* what process_stdout() and process_stderr() gave out */
};

/* All that were not freed yet: a failed assertion jumps over the call that stops them. */
static struct process *started;

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

const char *loader_path(void)
{
	const char *path = getenv("ISOMER_LOADER");

	return path && *path ? path : ISOMER_LOADER_PATH;
}

const char *preload_path(void)
{
	const char *path = getenv("ISOMER_PRELOAD");

	return path && *path ? path : ISOMER_PRELOAD_PATH;
}

/* ---- the child, before exec: only system calls; what fails is told to the parent ---- */

/* As `ip netns exec`: the mounts below /sys, bpffs among them, are out of sight. */
static int enter_netns(const char *path)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount("", "/", "none", MS_SLAVE | MS_REC, NULL) < 0)
		return -errno;
	(void)umount2("/sys", MNT_DETACH);
	return mount("test", "/sys", "sysfs", 0, NULL) < 0 ? -errno : 0;
}

static int drop_privileges(const struct process_options *o)
{
	gid_t gid = o->gid ? o->gid : (gid_t)o->uid;

	if (o->uid != 0 && (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
			    setresuid(o->uid, o->uid, o->uid) < 0))
		return -errno;
	if (o->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

/* Standard streams, @o->pass_fd as 3, @report for as long as there is no program; nothing else. */
static int arrange_descriptors(const struct process_options *o, const int file[STREAMS], int report)
{
	unsigned int first = STDERR_FILENO + 1;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(file[OUT], STDOUT_FILENO) < 0 ||
	    dup2(file[ERR], STDERR_FILENO) < 0)
		return -errno;
	if (o->pass_fd > 0) {
		if (o->pass_fd == 3 ? fcntl(3, F_SETFD, 0) < 0 : dup2(o->pass_fd, 3) < 0)
			return -errno;
		first = 4;
	}
	if (((unsigned int)report > first && close_range(first, report - 1, 0) < 0) ||
	    close_range(report + 1, ~0U, 0) < 0)
		return -errno;
	return 0;
}

/* Signals as a program expects them, and an end with the test program. The kernel forgets the
 * death signal when the user changes, so this comes last. (It is sent when the thread that forked
 * ends: tests start programs from their main thread.) */
static int arrange_signals(pid_t parent)
{
	sigset_t none;

	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0 || signal(SIGPIPE, SIG_DFL) == SIG_ERR ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	return getppid() == parent ? 0 : -ECANCELED;
}

struct start {
	const struct process_options *options;
	char **env;
	int file[STREAMS];
	int report; /* write end: -errno when there is no program; above 3 */
	pid_t parent;
};

static _Noreturn void child_main(const struct start *s)
{
	const struct process_options *o = s->options;
	int r = o->netns ? enter_netns(o->netns) : 0;

	if (r == 0)
		r = arrange_descriptors(o, s->file, s->report);
	if (r == 0)
		r = drop_privileges(o);
	if (r == 0)
		r = arrange_signals(s->parent);
	if (r == 0) {
		environ = s->env; /* its PATH counts */
		execvp(o->argv[0], (char *const *)o->argv);
		r = -errno;
	}
	(void)!write(s->report, &r, sizeof(r));
	_exit(127);
}

/* ---- the parent ---- */

/* A file without a name, which the program may open again as /dev/stderr whoever it is. */
static int private_file(void)
{
	char path[] = "/tmp/isomer-test-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC | O_APPEND);

	if (fd < 0)
		fail_msg("mkostemp %s: %s", path, strerror(errno));
	unlink(path);
	if (fchmod(fd, 0666) < 0)
		fail_msg("fchmod: %s", strerror(errno));
	return fd;
}

/* Forks, and waits until the program runs. 0 or -errno, and the pid in any case. */
static int fork_and_exec(struct start *s, pid_t *ret_pid)
{
	CLEANUP_FD int read_end = -1, write_end = -1, high = -1;
	int fds[2], r = 0;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	read_end = fds[0];
	write_end = fds[1];
	high = fcntl(write_end, F_DUPFD_CLOEXEC, 10);
	if (high < 0)
		return -errno;
	s->report = high;
	*ret_pid = fork();
	if (*ret_pid < 0)
		return -errno;
	if (*ret_pid == 0)
		child_main(s);
	close(TAKE_FD(write_end));
	close(TAKE_FD(high));
	if (read(read_end, &r, sizeof(r)) == sizeof(r))
		return r;
	return 0;
}

static void process_free(struct process *p)
{
	struct process **link = &started;

	while (*link && *link != p)
		link = &(*link)->next;
	if (*link)
		*link = p->next;
	for (int i = 0; i < STREAMS; i++) {
		close(p->file[i]);
		free(p->text[i]);
	}
	if (p->pidfd >= 0)
		close(p->pidfd);
	free(p);
}

struct process *process_start(const struct process_options *options)
{
	struct process *p = calloc(1, sizeof(*p));
	struct start s = { .options = options, .parent = getpid() };
	struct environment env;
	int r;

	assert_non_null(p);
	p->pidfd = -1;
	environment_make(&env, options);
	s.env = env.entries;
	for (int i = 0; i < STREAMS; i++)
		p->file[i] = s.file[i] = private_file();
	r = fork_and_exec(&s, &p->pid);
	environment_done(&env);
	if (r == 0)
		p->pidfd = pidfd_open(p->pid, 0);
	if (p->pidfd < 0) {
		r = r < 0 ? r : -errno;
		process_free(p);
		fail_msg("cannot start %s: %s", options->argv[0], strerror(-r));
	}
	p->next = started;
	started = p;
	return p;
}

pid_t process_pid(const struct process *p)
{
	return p->pid;
}

/* Polls @fd (-1: nothing) and the end of the process until @deadline; false when that has passed.
 * @p->ended tells of the end. */
static bool wait_event(struct process *p, int fd, int64_t deadline)
{
	struct pollfd pfds[] = {
		{ .fd = p->ended ? -1 : p->pidfd, .events = POLLIN },
		{ .fd = fd, .events = POLLIN },
	};
	int64_t left = deadline - now_ms();
	siginfo_t info = { 0 };

	if (left <= 0 || poll(pfds, 2, (int)left) == 0)
		return false;
	if (pfds[0].revents && waitid(P_PIDFD, p->pidfd, &info, WEXITED) == 0) {
		p->ended = true;
		p->status = info.si_status + (info.si_code == CLD_EXITED ? 0 : 128);
	}
	return true;
}

static const char *read_stream(struct process *p, int stream)
{
	struct stat st;
	ssize_t got = 0;

	if (fstat(p->file[stream], &st) < 0)
		fail_msg("fstat: %s", strerror(errno));
	free(p->text[stream]);
	p->text[stream] = calloc(1, (size_t)st.st_size + 1);
	assert_non_null(p->text[stream]);
	while (got < st.st_size) {
		ssize_t n = pread(p->file[stream], p->text[stream] + got,
				  (size_t)(st.st_size - got), got);

		if (n <= 0)
			break;
		got += n;
	}
	return p->text[stream];
}

const char *process_stdout(struct process *p)
{
	return read_stream(p, OUT);
}

const char *process_stderr(struct process *p)
{
	return read_stream(p, ERR);
}

static _Noreturn void fail_with_output(struct process *p, const char *what, const char *object)
{
	fail_msg("process %d %s '%s'%s\nstdout:\n%s\nstderr:\n%s", (int)p->pid, what, object,
		 p->ended ? ", and has ended" : "", process_stdout(p), process_stderr(p));
	abort(); /* not reached: fail_msg() jumps, the compiler is not told */
}

/* An inotify descriptor that tells of writes to both streams. The files have no name any more,
 * but their descriptors have one. */
static int watch_output(const struct process *p)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[64];

	if (fd < 0)
		fail_msg("inotify_init1: %s", strerror(errno));
	for (int i = 0; i < STREAMS; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", p->file[i]);
		if (inotify_add_watch(fd, path, IN_MODIFY) < 0)
			fail_msg("inotify_add_watch: %s", strerror(errno));
	}
	return fd;
}

static bool has_printed(struct process *p, const char *text)
{
	return strstr(process_stderr(p), text) || strstr(process_stdout(p), text);
}

bool process_wait_output_or_end(struct process *p, const char *text)
{
	int64_t deadline = now_ms() + TIMEOUT_MS;
	CLEANUP_FD int watch = watch_output(p);
	char events[1024];

	while (!has_printed(p, text)) {
		if (p->ended)
			return false;
		if (!wait_event(p, watch, deadline)) {
			close(TAKE_FD(watch));
			fail_with_output(p, "has not printed", text);
		}
		(void)!read(watch, events, sizeof(events)); /* which file does not matter */
	}
	return true;
}

void process_wait_output(struct process *p, const char *text)
{
	if (!process_wait_output_or_end(p, text))
		fail_with_output(p, "has not printed", text);
}

/* Does a line of a /proc/<pid>/net file, "sl local remote state …" with hexadecimal
 * "address:port", tell of a server on @port? */
static bool line_has_port(const char *line, bool tcp, uint16_t port)
{
	unsigned int local, state;

	if (sscanf(line, " %*u: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x", &local, &state) != 2)
		return false;
	return local == port && (!tcp || state == 0x0a /* TCP_LISTEN */);
}

static bool file_has_port(pid_t pid, const char *name, uint16_t port)
{
	char path[64], line[512];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/net/%s", (int)pid, name);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = line_has_port(line, name[0] == 't', port);
	if (f)
		fclose(f);
	return found;
}

static bool has_port(pid_t pid, const char *protocol, uint16_t port)
{
	char name6[8];

	snprintf(name6, sizeof(name6), "%.4s6", protocol);
	return file_has_port(pid, protocol, port) || file_has_port(pid, name6, port);
}

static int ticking_timer(void)
{
	struct itimerspec tick = { .it_interval.tv_nsec = PORT_TICK_NS,
				   .it_value.tv_nsec = PORT_TICK_NS };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	if (fd < 0 || timerfd_settime(fd, 0, &tick, NULL) < 0)
		fail_msg("timerfd: %s", strerror(errno));
	return fd;
}

/* The kernel announces no new listener, so this one looks again every 10 ms. */
void process_wait_port(struct process *p, const char *protocol, uint16_t port)
{
	int64_t deadline = now_ms() + TIMEOUT_MS;
	CLEANUP_FD int timer = ticking_timer();
	char object[32];
	uint64_t ticks;

	while (!has_port(p->pid, protocol, port)) {
		if (p->ended || !wait_event(p, timer, deadline)) {
			close(TAKE_FD(timer));
			snprintf(object, sizeof(object), "%.4s %u", protocol, port);
			fail_with_output(p, "has not opened", object);
		}
		if (!p->ended)
			(void)!read(timer, &ticks, sizeof(ticks));
	}
}

static bool wait_end(struct process *p, int timeout_ms)
{
	int64_t deadline = now_ms() + timeout_ms;

	while (!p->ended) {
		if (!wait_event(p, -1, deadline))
			return false;
	}
	return true;
}

int process_wait(struct process *p)
{
	if (!wait_end(p, TIMEOUT_MS))
		fail_with_output(p, "has not ended after", "2 minutes");
	return p->status;
}

void process_signal(struct process *p, int signal)
{
	if (!p->ended)
		(void)pidfd_send_signal(p->pidfd, signal, NULL, 0);
}

int process_stop(struct process *p, int signal)
{
	int status;

	process_signal(p, signal);
	status = process_wait(p);
	process_free(p);
	return status;
}

static void kill_and_free(struct process *p)
{
	process_signal(p, SIGKILL);
	(void)wait_end(p, TIMEOUT_MS);
	process_free(p);
}

void process_stopp(struct process **p)
{
	if (*p)
		kill_and_free(*p);
	*p = NULL;
}

void process_end_leftovers(void)
{
	while (started)
		kill_and_free(started);
}

/* ---- commands ---- */

void command_done(struct command_result *r)
{
	free(r->out);
	free(r->err);
	*r = (struct command_result){ 0 };
}

struct command_result command_run(const struct process_options *options)
{
	struct process *p = process_start(options);
	struct command_result r = { .status = process_wait(p) };

	(void)process_stdout(p);
	(void)process_stderr(p);
	r.out = TAKE_PTR(p->text[OUT]);
	r.err = TAKE_PTR(p->text[ERR]);
	process_free(p);
	return r;
}

static struct command_result run_loader(const char *arg, va_list ap)
{
	const char *argv[ARGS_MAX] = { loader_path() };
	size_t n = 1;

	for (; arg; arg = va_arg(ap, const char *)) {
		assert_in_range(n, 1, ARGS_MAX - 2);
		argv[n++] = arg;
	}
	return command_run(&(struct process_options){ .argv = argv });
}

struct command_result loader(const char *arg, ...)
{
	struct command_result r;
	va_list ap;

	va_start(ap, arg);
	r = run_loader(arg, ap);
	va_end(ap);
	return r;
}

void loader_ok(const char *arg, ...)
{
	CLEANUP(command_done) struct command_result r = { 0 };
	va_list ap;

	va_start(ap, arg);
	r = run_loader(arg, ap);
	va_end(ap);
	if (r.status != 0)
		fail_msg("isomer-loader %s …: exit status %d\n%s%s", arg, r.status, r.out, r.err);
}

void loader_register(pid_t pid, const char *label, const char *protocol, const char *ip,
		     uint16_t port)
{
	char pid_text[16], port_text[8];

	snprintf(pid_text, sizeof(pid_text), "%d", (int)pid);
	snprintf(port_text, sizeof(port_text), "%u", port);
	loader_ok("register-pid", pid_text, label, protocol, ip, port_text, NULL);
}
