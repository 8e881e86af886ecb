/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/preload/calls.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/figures.h"
#include "bench/preload/parts.h"
#include "state/cleanup.h"
#include "support/process.h"

/* About the time of a look at the clock and a switch of processes: @times keeps them small, but a
 * measurement shorter than what the scheduler gives. */
static const struct row {
	const char *name;
	enum call call;
	uint32_t times;
} rows[] = {
	{ "`listen()` that registers", CALL_LISTEN_REGISTERS, 8 },
	{ "`listen()` again on a registered socket", CALL_LISTEN_AGAIN, 16 },
	{ "`bind()` of UDP that registers", CALL_BIND_UDP_REGISTERS, 8 },
	{ "`listen()` on a port that no rule names", CALL_LISTEN_OTHER, 64 },
	{ "`listen()` of a Unix socket", CALL_LISTEN_UNIX, 256 },
	{ "`bind()` of TCP", CALL_BIND_TCP, 64 },
	{ "`bind()` of UDP to port 0", CALL_BIND_UDP_ANY, 64 },
	{ "`write()` and `read()`, pipe", CALL_READ_WRITE, 512 },
	{ "`writev()` and `readv()`, pipe", CALL_READV_WRITEV, 512 },
	{ "`send()` and `recv()`, Unix socket", CALL_RECV_SEND, 512 },
	{ "`sendto()` and `recvfrom()`, UDP", CALL_RECVFROM_SENDTO, 128 },
	{ "`sendmsg()` and `recvmsg()`, UDP", CALL_RECVMSG_SENDMSG, 128 },
	{ "`sendmmsg()` and `recvmmsg()` of 8, UDP", CALL_RECVMMSG_SENDMMSG, 32 },
	{ "`setsockopt()` and `getsockopt()`, TCP", CALL_SOCKOPT, 512 },
};

enum guest_kind {
	BARE,
	LIBRARY,
	LIBRARY_HELD, /* the process has a registered UDP socket, which the calls are not about */
	GUESTS
};

struct guest {
	struct process *process;
	int fd;
};

static void start_guest(enum guest_kind kind, struct guest *ret)
{
	CLEANUP_FREE char *preload = NULL;
	CLEANUP_FREE char *rules = NULL;
	int ends[2];

	if (asprintf(&preload, "LD_PRELOAD=%s", preload_path()) < 0 ||
	    asprintf(&rules, "ISOMER_RULES=foo=tcp:*:%d;foo=tcp:*:%d;foo=udp:*:%d;foo=udp:*:%d",
		     CALLS_TCP_PORT, CALLS_KEPT_PORT, CALLS_UDP_PORT, CALLS_HELD_PORT) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		figures_give_up("guest");
	ret->process = process_start(&(struct process_options){
		.argv = (const char *const[]){ ISOMER_BENCH_GUEST,
					       kind == LIBRARY_HELD ? "held" : NULL, NULL },
		.env = kind == BARE ? NULL : (const char *const[]){ preload, rules, NULL },
		.pass_fd = ends[1] });
	close(ends[1]);
	ret->fd = ends[0];
}

static double measure(struct guest *g, const struct row *row)
{
	struct calls_request request = { row->call, row->times };
	struct calls_answer answer;

	if (send(g->fd, &request, sizeof(request), MSG_NOSIGNAL) != sizeof(request) ||
	    recv(g->fd, &answer, sizeof(answer), 0) != sizeof(answer)) {
		fprintf(stderr, "the guest has ended: %s", process_stderr(g->process));
		exit(EXIT_FAILURE);
	}
	return answer.nanoseconds;
}

static void print_compared(const struct series *s, const struct series *bare)
{
	struct quartiles ns = series_quartiles(s), ratio = series_ratio(s, bare);

	printf(" %.0f | %.3f (%.3f to %.3f) |", ns.median, ratio.median, ratio.low, ratio.high);
}

static void bench_row(struct guest guests[GUESTS], const struct row *row, unsigned rounds)
{
	static struct series series[GUESTS];

	for (int i = 0; i < GUESTS; i++) {
		series[i].n = 0;
		(void)measure(&guests[i], row);
	}
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < GUESTS; i++) {
			unsigned turn = (i + round) % GUESTS;

			series_add(&series[turn], measure(&guests[turn], row));
		}
	printf("| %s | %.0f |", row->name, series_quartiles(&series[BARE]).median);
	print_compared(&series[LIBRARY], &series[BARE]);
	print_compared(&series[LIBRARY_HELD], &series[BARE]);
	printf("\n");
	fflush(stdout);
}

void bench_calls(unsigned rounds)
{
	struct guest guests[GUESTS];

	for (int i = 0; i < GUESTS; i++)
		start_guest((enum guest_kind)i, &guests[i]);
	printf("| call | without, ns | under the library, ns | ratio (quartiles) | with a registered "
	       "UDP socket, ns | ratio (quartiles) |\n|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		bench_row(guests, &rows[i], rounds);
	for (int i = 0; i < GUESTS; i++) {
		close(guests[i].fd);
		process_stop(guests[i].process, SIGKILL);
	}
}
