/* SPDX-License-Identifier: BSD-3-Clause */
/* A library that catches libisomer_preload.so in the middle of its start: its constructor, which
 * runs first, starts a thread that listens; while that thread reads the environment for isomer it
 * forks a child, which listens too and has nobody to wait for. Prints what became of the child.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "guest.h"

static sem_t reading, go_on;
static atomic_int reads;

/* The first to ask stays here until the child has ended. */
char *secure_getenv(const char *name)
{
	if (!strcmp(name, "ISOMER_LABEL") && atomic_fetch_add(&reads, 1) == 0) {
		sem_post(&reading);
		sem_wait(&go_on);
	}
	return getenv(name);
}

static void *listen_in_thread(void *arg)
{
	(void)arg;
	if (listen(guest_tcp("127.0.0.1", 7001, false), 1) < 0)
		guest_die("listen");
	return NULL;
}

__attribute__((constructor)) static void construct(void)
{
	pthread_t thread;
	int status;
	pid_t pid;

	sem_init(&reading, 0, 0);
	sem_init(&go_on, 0, 0);
	if (pthread_create(&thread, NULL, listen_in_thread, NULL) != 0)
		guest_die("pthread_create");
	sem_wait(&reading);
	pid = fork();
	if (pid == 0) {
		alarm(20);
		_exit(listen(guest_tcp("127.0.0.1", 7002, false), 1) < 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		guest_die("fork");
	dprintf(STDOUT_FILENO, "child of a start: %d\n", status);
	sem_post(&go_on);
	pthread_join(thread, NULL);
}
