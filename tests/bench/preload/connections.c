/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/figures.h"
#include "bench/preload/parts.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/process.h"

#define AIM 0.97

#define PARALLEL  16
#define PER_ROUND 160 /* connections, PARALLEL at a time */
#define ALONE     40  /* one at a time */

/* Where nginx keeps its files: of a mount that ends with the benchmark's namespaces. */
#define FOLDER "/mnt"

static const char request[] = "GET / HTTP/1.0\r\n\r\n";

/* ---- clients ---- */

struct clients {
	const char *ip;
	uint16_t port;
	int epoll;
	uint64_t begin[PARALLEL]; /* of the connection that takes this place */
	int fd[PARALLEL];
	struct series latencies;
};

/* On loopback the handshake is over when connect() returns, whatever the server is about. */
static void begin(struct clients *c, unsigned place)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = place };

	c->begin[place] = figures_now();
	c->fd[place] = tcp_connect(c->ip, c->port);
	if (c->fd[place] < 0) {
		errno = -c->fd[place];
		figures_give_up(c->ip);
	}
	if (send(c->fd[place], request, sizeof(request) - 1, MSG_NOSIGNAL) < 0 ||
	    epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->fd[place], &event) < 0)
		figures_give_up("client");
}

/* Has the server ended it? A reset after that leaves no TIME_WAIT, of which there would be more and
 * more. */
static bool end(struct clients *c, unsigned place)
{
	struct linger reset = { .l_onoff = 1 };
	char answer[512];
	ssize_t n = recv(c->fd[place], answer, sizeof(answer), 0);

	if (n < 0)
		figures_give_up("answer");
	if (n > 0)
		return false;
	series_add(&c->latencies, (double)(figures_now() - c->begin[place]));
	setsockopt(c->fd[place], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	/* Not left to close(): whoever looks at our descriptors may hold the socket for a moment.
	 */
	epoll_ctl(c->epoll, EPOLL_CTL_DEL, c->fd[place], NULL);
	close(c->fd[place]);
	return true;
}

/* Makes @n connections, @parallel at a time. Returns how many a second. */
static double connections(struct clients *c, unsigned n, unsigned parallel)
{
	struct epoll_event events[PARALLEL];
	uint64_t start = figures_now();
	unsigned begun = 0, ended = 0;

	c->latencies.n = 0;
	while (begun < parallel)
		begin(c, begun++);
	while (ended < n) {
		int ready = epoll_wait(c->epoll, events, PARALLEL, -1);

		for (int i = 0; i < ready; i++) {
			if (!end(c, events[i].data.u32))
				continue;
			ended++;
			if (begun < n) {
				begin(c, events[i].data.u32);
				begun++;
			}
		}
	}
	return n * 1e9 / (double)(figures_now() - start);
}

/* ---- servers ---- */

static struct process *start_nginx(const char *const *env, const char *listen)
{
	CLEANUP_FD int file = memfd_create("nginx.conf", MFD_CLOEXEC);
	struct process *p;

	if (dprintf(file,
		    "user root;\ndaemon off;\nworker_processes 1;\npid nginx-%s.pid;\n"
		    "events { }\n"
		    "http {\n"
		    "	access_log off;\n"
		    "	client_body_temp_path body;\n	proxy_temp_path proxy;\n"
		    "	fastcgi_temp_path fastcgi;\n	uwsgi_temp_path uwsgi;\n"
		    "	scgi_temp_path scgi;\n"
		    "	server {\n		listen %s;\n		return 200 ok;\n	}\n"
		    "}\n",
		    listen, listen) < 0)
		figures_give_up("configuration of nginx");
	p = process_start(&(struct process_options){
		.argv = (const char *const[]){ "nginx", "-p", FOLDER, "-c", "/proc/self/fd/3", "-e",
					       "stderr", NULL },
		.env = env,
		.pass_fd = file });
	process_wait_port(p, "tcp", (uint16_t)strtoul(strchr(listen, ':') + 1, NULL, 10));
	return p;
}

enum way {
	PLAIN,   /* an nginx that knows nothing of the library */
	DIRECT,  /* one under the library, on its own address and port */
	BINDING, /* the same */
	WAYS
};

static const char *const names[WAYS] = {
	[PLAIN] = "without the library",
	[DIRECT] = "under the library, directly",
	[BINDING] = "under the library, by a binding",
};

static struct series rates[WAYS], latencies[WAYS];

static void print_rows(void)
{
	printf("| nginx | connections a second | quartiles | to the one reached directly "
	       "(quartiles) | latency, us | quartiles | to the one reached directly |\n"
	       "|---|---|---|---|---|---|---|\n");
	for (int i = 0; i < WAYS; i++) {
		struct quartiles rate = series_quartiles(&rates[i]);
		struct quartiles latency = series_quartiles(&latencies[i]);
		struct quartiles ratio = series_ratio(&rates[i], &rates[DIRECT]);

		printf("| %s | %.0f | %.0f to %.0f | %.3f (%.3f to %.3f) | %.1f | %.1f to %.1f | "
		       "%.3f |\n",
		       names[i], rate.median, rate.low, rate.high, ratio.median, ratio.low,
		       ratio.high, latency.median / 1e3, latency.low / 1e3, latency.high / 1e3,
		       series_ratio(&latencies[i], &latencies[DIRECT]).median);
	}
}

static void measure(struct clients *c, enum way way)
{
	series_add(&rates[way], connections(c, PER_ROUND, PARALLEL));
	(void)connections(c, ALONE, 1);
	series_add(&latencies[way], series_quartiles(&c->latencies).median);
}

bool bench_connections(unsigned rounds)
{
	CLEANUP_FREE char *preload = NULL;
	CLEANUP(process_stopp) struct process *plain = NULL, *library = NULL;
	CLEANUP_FD int epoll = epoll_create1(EPOLL_CLOEXEC);
	static struct clients clients[WAYS] = {
		[PLAIN] = { "127.0.0.1", 8090 },
		[DIRECT] = { "127.0.0.1", 8091 },
		[BINDING] = { "127.0.0.2", 80 },
	};
	bool met;

	if (mount("nginx", FOLDER, "tmpfs", 0, NULL) < 0 || epoll < 0 ||
	    asprintf(&preload, "LD_PRELOAD=%s", preload_path()) < 0)
		figures_give_up("nginx");
	plain = start_nginx(NULL, "127.0.0.1:8090");
	library = start_nginx((const char *const[]){ preload, "ISOMER_LABEL=web", NULL },
			      "127.0.0.1:8091");
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < WAYS; i++) {
			unsigned turn = (i + round) % WAYS;

			clients[turn].epoll = epoll;
			measure(&clients[turn], (enum way)turn);
		}
	print_rows();
	met = series_ratio(&rates[BINDING], &rates[DIRECT]).median >= AIM;
	printf("\nThe aim by a binding is %.2f: %s.\n", AIM, met ? "met" : "NOT met");
	return met;
}
