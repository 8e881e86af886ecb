/* SPDX-License-Identifier: BSD-3-Clause */
/* named NAME PORT [N]: answers TCP clients and datagrams of 127.0.0.1:PORT with its name. Prints
 * "ready" when both sockets are there. SIGUSR2 has it upgraded in place: it becomes a new program,
 * which is given the sockets as systemd would give them, and prints "upgraded N".
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include "guest.h"

#define FIRST_PASSED 3

enum { TCP, UDP, SOCKETS };

static volatile sig_atomic_t upgrade;

static void on_signal(int number)
{
	(void)number;
	upgrade = 1;
}

static void open_sockets(uint16_t port, struct pollfd *sockets)
{
	struct sockaddr_storage addr;
	socklen_t len = guest_address("127.0.0.1", port, &addr);

	sockets[TCP].fd = guest_tcp("127.0.0.1", port, true);
	sockets[UDP].fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(sockets[UDP].fd, (struct sockaddr *)&addr, len) < 0 ||
	    listen(sockets[TCP].fd, 128) < 0)
		guest_die("sockets");
}

static void become_new(char **argv, const struct pollfd *sockets)
{
	char number[16], pid[16];
	int fds[SOCKETS];

	/* Out of the way first: each may have the number that another is to get. */
	for (int i = 0; i < SOCKETS; i++)
		fds[i] = fcntl(sockets[i].fd, F_DUPFD_CLOEXEC, FIRST_PASSED + SOCKETS);
	for (int i = 0; i < SOCKETS; i++)
		if (dup2(fds[i], FIRST_PASSED + i) < 0)
			guest_die("dup2");
	snprintf(number, sizeof(number), "%d", argv[3] ? (int)strtol(argv[3], NULL, 10) + 1 : 1);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "2", 1);
	execl(argv[0], argv[0], argv[1], argv[2], number, (char *)NULL);
	guest_die(argv[0]);
}

static void answer_datagram(int fd, const char *name)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	char byte;

	if (recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&addr, &len) >= 0 &&
	    sendto(fd, name, strlen(name), 0, (struct sockaddr *)&addr, len) < 0)
		perror("sendto");
}

int main(int argc, char **argv)
{
	struct pollfd sockets[SOCKETS] = { { .fd = FIRST_PASSED + TCP, .events = POLLIN },
					   { .fd = FIRST_PASSED + UDP, .events = POLLIN } };
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t held, waiting;

	if (argc < 3)
		return 1;
	/* Comes while it waits, and at no other moment. */
	sigemptyset(&held);
	sigaddset(&held, SIGUSR2);
	sigprocmask(SIG_BLOCK, &held, &waiting);
	sigdelset(&waiting, SIGUSR2);
	sigaction(SIGUSR2, &action, NULL);
	if (argc == 3) {
		open_sockets((uint16_t)strtoul(argv[2], NULL, 10), sockets);
		puts("ready");
	} else {
		printf("upgraded %s\n", argv[3]);
	}
	fflush(stdout);
	for (;;) {
		int n = ppoll(sockets, SOCKETS, NULL, &waiting);

		if (n < 0 && upgrade)
			become_new(argv, sockets);
		if (n < 0)
			return 1;
		if (sockets[TCP].revents)
			guest_serve_one(sockets[TCP].fd, argv[1]);
		if (sockets[UDP].revents)
			answer_datagram(sockets[UDP].fd, argv[1]);
	}
}
