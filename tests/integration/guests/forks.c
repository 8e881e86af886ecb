/* SPDX-License-Identifier: BSD-3-Clause */
/* forks PORT: four threads open and close listeners all the time while the main thread forks
 * children, each of which listens. A child that hangs is killed by its alarm. Prints how many
 * children did their work; the last one goes on to serve 127.0.0.1:PORT, with the threads gone.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/wait.h>

#include "guest.h"

#define THREADS  4
#define CHILDREN 100

static atomic_bool stop;

static void *churn(void *arg)
{
	(void)arg;
	while (!stop) {
		int fd = guest_tcp("127.0.0.1", 0, false);

		if (listen(fd, 1) < 0)
			guest_die("listen");
		close(fd);
	}
	return NULL;
}

static int child_listens(void)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		guest_die("fork");
	if (pid == 0) {
		alarm(20);
		close(guest_tcp("127.0.0.1", 0, false));
		_exit(listen(guest_tcp("127.0.0.1", 0, false), 1) < 0);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static void serve_in_child(uint16_t port)
{
	pid_t pid = fork();
	int fd;

	if (pid < 0)
		guest_die("fork");
	if (pid > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = guest_tcp("127.0.0.1", port, false);
	if (listen(fd, 16) < 0)
		guest_die("listen");
	puts("ready");
	for (;;)
		guest_serve_one(fd, "child");
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	int worked = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, churn, NULL) != 0)
			guest_die("pthread_create");
	for (int i = 0; i < CHILDREN; i++)
		worked += child_listens();
	stop = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("%d of %d children listened\n", worked, CHILDREN);
	serve_in_child((uint16_t)strtoul(argv[argc - 1], NULL, 10));
	wait(NULL);
	return 0;
}
