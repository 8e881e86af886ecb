/* SPDX-License-Identifier: BSD-3-Clause */
/* udp_workers threads|processes|signals IP PORT: workers that share a UDP socket and send every
 * datagram back to where it came from: threads, forked processes, or a thread and a signal handler
 * that interrupts it all the time.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/time.h>

#include "guest.h"

#define WORKERS 4

static int server;

static void answer(int flags)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	char text[64];
	ssize_t n = recvfrom(server, text, sizeof(text), flags, (struct sockaddr *)&peer, &len);

	if (n >= 0 && sendto(server, text, (size_t)n, 0, (struct sockaddr *)&peer, len) < 0)
		guest_die("sendto");
}

static void *work(void *arg)
{
	for (;;)
		answer(0);
	return arg;
}

static void start_threads(void)
{
	for (int i = 1; i < WORKERS; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, work, NULL) != 0)
			guest_die("pthread_create");
	}
}

static void start_processes(void)
{
	for (int i = 1; i < WORKERS; i++) {
		pid_t pid = fork();

		if (pid < 0)
			guest_die("fork");
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			work(NULL);
		}
	}
}

static void on_alarm(int number)
{
	int saved = errno;

	(void)number;
	answer(MSG_DONTWAIT);
	errno = saved;
}

static void start_signals(void)
{
	struct itimerval often = { { 0, 50 }, { 0, 50 } };
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };

	if (sigaction(SIGALRM, &action, NULL) < 0 || setitimer(ITIMER_REAL, &often, NULL) < 0)
		guest_die("alarm");
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 1;
	server = guest_udp(argv[2], (uint16_t)strtoul(argv[3], NULL, 10));
	if (!strcmp(argv[1], "threads"))
		start_threads();
	else if (!strcmp(argv[1], "processes"))
		start_processes();
	else
		start_signals();
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 1;
	work(NULL);
}
