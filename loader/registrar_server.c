/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/registrar_server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "loader/registrar_request.h"
#include "state/cleanup.h"

#define WORKERS_MAX    128
#define WORKERS_OF_UID 16
#define WORKER_MS      3000 /* an honest request takes one or two */
#define END_MS         1000 /* for requests under way, when the registrar is to end */
#define FORK_MS        100  /* between attempts where no process can be made */

struct worker {
	pid_t pid;       /* 0: none */
	int64_t started; /* when it got a connection; 0: it waits for one */
	bool killed;
};

struct pool {
	const struct registrar_server *server;
	struct worker workers[WORKERS_MAX];
	/* Of each worker the client's user + 1, written by itself into memory that all share: 0
	 * while it is not known. */
	_Atomic uint64_t *users;
	int idle;        /* who waits for a connection; -1: nobody */
	int accepted[2]; /* a pipe, one byte of the idle worker once it has one */
	int signal_fd;
	bool ending;
	int64_t deadline; /* of `ending` */
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

/* ---- in the worker ---- */

static bool has_too_many(const struct pool *pool, uint64_t user)
{
	int n = 0;

	for (int i = 0; i < WORKERS_MAX; i++)
		n += atomic_load(&pool->users[i]) == user;
	return n > WORKERS_OF_UID;
}

static void work(const struct pool *pool, int self)
{
	CLEANUP(peer_done) struct peer peer = PEER_NONE;
	int connection;

	connection = accept4(pool->server->fd, NULL, NULL, SOCK_CLOEXEC);
	if (connection < 0) {
		/* The next one is not to find the same at once: too many open files. */
		(void)poll(NULL, 0, FORK_MS);
		return;
	}
	if (write(pool->accepted[1], "", 1) != 1)
		return;
	if (peer_read(connection, &peer) < 0)
		return;

	atomic_store(&pool->users[self], (uint64_t)peer.uid + 1);
	if (has_too_many(pool, (uint64_t)peer.uid + 1))
		registrar_refuse(connection, &peer);
	else
		registrar_answer(pool->server->bpffs, connection, &peer);
	/* The connection and what came by it close with the process. */
}

static _Noreturn void worker_main(const struct pool *pool, int self, pid_t parent)
{
	sigset_t none;

	/* Ends with its parent, should that be killed; one that has become a client for the kernel
	 * finishes its request, as that takes the signal back. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	work(pool, self);
	_exit(0);
}

/* ---- in the parent ---- */

static int find_free(const struct pool *pool)
{
	for (int i = 0; i < WORKERS_MAX; i++)
		if (pool->workers[i].pid == 0)
			return i;
	return -1;
}

/* Makes a worker that waits for a connection, if there is none and there is room. */
static void fill(struct pool *pool)
{
	int free = find_free(pool);
	pid_t parent = getpid(), pid;

	if (pool->ending || pool->idle >= 0 || free < 0)
		return;
	pid = fork();
	if (pid == 0)
		worker_main(pool, free, parent);
	if (pid < 0)
		return; /* tried again by and by */
	pool->workers[free].pid = pid;
	pool->idle = free;
}

static void kill_worker(struct worker *w)
{
	/* One that waits in the kernel for a client's socket may not die at once. */
	kill(w->pid, SIGKILL);
	w->killed = true;
}

/* Kills who has taken too long, and the oldest of all when there is no room for another: those who
 * have just begun are done before they are the oldest. Returns when to look again, in ms. */
static int kill_slow(struct pool *pool)
{
	int64_t now = now_ms(), next = INT64_MAX;
	struct worker *oldest = NULL;

	for (int i = 0; i < WORKERS_MAX; i++) {
		struct worker *w = &pool->workers[i];

		if (w->pid == 0 || w->started == 0 || w->killed)
			continue;
		if (now - w->started >= WORKER_MS) {
			kill_worker(w);
			continue;
		}
		if (w->started + WORKER_MS < next)
			next = w->started + WORKER_MS;
		if (!oldest || w->started < oldest->started)
			oldest = w;
	}
	if (!pool->ending && pool->idle < 0 && find_free(pool) < 0 && oldest)
		kill_worker(oldest);
	return next == INT64_MAX ? -1 : (int)(next - now);
}

/* Has the idle worker got a connection? */
static void note_accepted(struct pool *pool)
{
	char byte;

	if (pool->idle < 0 || read(pool->accepted[0], &byte, 1) != 1)
		return;
	pool->workers[pool->idle].started = now_ms();
	pool->idle = -1;
}

static void reap(struct pool *pool)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		/* What it wrote, if it did, is not to be taken for its successor's. */
		if (pool->idle >= 0 && pool->workers[pool->idle].pid == pid)
			note_accepted(pool);
		for (int i = 0; i < WORKERS_MAX; i++) {
			if (pool->workers[i].pid != pid)
				continue;
			if (pool->idle == i)
				pool->idle = -1;
			pool->workers[i] = (struct worker){ .pid = 0 };
			atomic_store(&pool->users[i], 0);
		}
	}
}

static void note_signals(struct pool *pool)
{
	struct signalfd_siginfo info;

	while (read(pool->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD || pool->ending)
			continue;
		pool->ending = true;
		pool->deadline = now_ms() + END_MS;
		if (pool->idle >= 0)
			kill_worker(&pool->workers[pool->idle]);
	}
	reap(pool);
}

/* One that was killed and is not dead yet counts: it has the listening socket, where nobody is to
 * connect who finds that socket dead a moment later. */
static bool is_alone(const struct pool *pool)
{
	for (int i = 0; i < WORKERS_MAX; i++)
		if (pool->workers[i].pid != 0)
			return false;
	return true;
}

static void loop(struct pool *pool)
{
	struct pollfd fds[] = {
		{ .fd = pool->accepted[0], .events = POLLIN },
		{ .fd = pool->signal_fd, .events = POLLIN },
	};

	while (!pool->ending || (!is_alone(pool) && now_ms() < pool->deadline)) {
		int timeout;

		fill(pool);
		timeout = kill_slow(pool);
		/* Or nothing but a signal would end the wait for an idle one that was killed. */
		if ((pool->idle < 0 || pool->ending) && (timeout < 0 || timeout > FORK_MS))
			timeout = FORK_MS;
		(void)poll(fds, 2, timeout);
		note_accepted(pool);
		note_signals(pool);
	}
}

static sigset_t our_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGCHLD);
	return signals;
}

static int begin(struct pool *pool)
{
	sigset_t signals = our_signals();

	pool->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (pool->signal_fd < 0 || pipe2(pool->accepted, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	pool->users = mmap(NULL, WORKERS_MAX * sizeof(*pool->users), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return pool->users == MAP_FAILED ? -errno : 0;
}

int registrar_hold_signals(void)
{
	sigset_t signals = our_signals();

	return sigprocmask(SIG_BLOCK, &signals, NULL) < 0 ? -errno : 0;
}

int registrar_serve(const struct registrar_server *server)
{
	struct pool pool = {
		.server = server, .idle = -1, .accepted = { -1, -1 }, .signal_fd = -1
	};
	int r = begin(&pool);

	if (r == 0)
		loop(&pool);
	if (r == 0)
		munmap(pool.users, WORKERS_MAX * sizeof(*pool.users));
	cleanup_closep(&pool.accepted[0]);
	cleanup_closep(&pool.accepted[1]);
	cleanup_closep(&pool.signal_fd);
	return r;
}
