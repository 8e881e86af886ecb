/* SPDX-License-Identifier: BSD-3-Clause */
/* threads IP PORT: eight threads, each with its own SO_REUSEPORT listener on the same address, as
 * fast as they can; then a thread that is being cancelled while it listens. Prints "ready" and
 * serves.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "guest.h"

#define THREADS 8

static const char *ip;
static uint16_t port;
static pthread_barrier_t all_bound;
static atomic_bool cancelled, listened;

static void *serve(void *arg)
{
	int fd = guest_tcp(ip, port, true);

	(void)arg;
	pthread_barrier_wait(&all_bound);
	errno = GUEST_ERRNO;
	if (listen(fd, 16) < 0)
		guest_die("listen");
	if (errno != GUEST_ERRNO)
		guest_die("errno");
	pthread_barrier_wait(&all_bound);
	for (;;)
		guest_serve_one(fd, "threads");
	return NULL;
}

/* listen() is no cancellation point, whatever is done behind it. */
static void *listen_while_cancelled(void *fd)
{
	while (!cancelled)
		;
	if (listen(*(int *)fd, 1) == 0)
		listened = true;
	pthread_testcancel();
	return NULL;
}

static void check_cancellation(void)
{
	int fd = guest_tcp("127.0.0.1", 0, false);
	pthread_t thread;
	void *result;

	if (pthread_create(&thread, NULL, listen_while_cancelled, &fd) != 0)
		guest_die("pthread_create");
	pthread_cancel(thread);
	cancelled = true;
	pthread_join(thread, &result);
	printf("cancelled thread: listened=%d cancelled=%d\n", listened,
	       result == PTHREAD_CANCELED);
	close(fd);
}

int main(int argc, char **argv)
{
	pthread_t thread;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 3)
		return 1;
	ip = argv[1];
	port = (uint16_t)strtoul(argv[2], NULL, 10);
	pthread_barrier_init(&all_bound, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, serve, NULL) != 0)
			guest_die("pthread_create");
	pthread_barrier_wait(&all_bound);
	pthread_barrier_wait(&all_bound);
	check_cancellation();
	puts("ready");
	pause();
	return 0;
}
