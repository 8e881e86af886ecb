/* SPDX-License-Identifier: BSD-3-Clause */
/* udp_steps PORT: a UDP server that does one thing for each signal, and says so:
 *
 * USR1   receives a datagram and sends it back
 * USR2   closes all descriptors but the socket and opens others of their numbers; the second time:
 *        says how many of those are still there
 * URG    sets an option of the socket
 * QUIT   binds another one to 198.51.100.5 port 7001
 * WINCH  forks a child that does nothing
 * IO     nothing
 * HUP    closes the socket
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "guest.h"

#define OTHERS_END 1000

static void say(const char *what, unsigned n)
{
	char line[64];
	int len = snprintf(line, sizeof(line), "%s %u\n", what, n);

	if (write(STDOUT_FILENO, line, (size_t)len) != len)
		guest_die("write");
}

static void answer(int fd)
{
	static unsigned answered;
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	char text[64];
	ssize_t n = recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&peer, &len);

	if (n < 0 || sendto(fd, text, (size_t)n, 0, (struct sockaddr *)&peer, len) != n)
		guest_die("answer");
	say("answered", ++answered);
}

static unsigned count_others(const struct stat *null)
{
	unsigned n = 0;
	struct stat sb;

	for (int fd = 3; fd < OTHERS_END; fd++)
		n += fstat(fd, &sb) == 0 && sb.st_rdev == null->st_rdev;
	return n;
}

static void close_others(int but)
{
	static bool done;
	int fd = open("/dev/null", O_RDWR);
	struct stat null;

	if (fd < 0 || fstat(fd, &null) < 0)
		guest_die("/dev/null");
	close(fd);
	for (fd = 3; !done && fd < OTHERS_END; fd++)
		if (fd != but && dup2(STDIN_FILENO, fd) == fd)
			close(fd);
	for (fd = 0; !done && fd < OTHERS_END - 1;)
		fd = open("/dev/null", O_RDWR);
	say("others", count_others(&null));
	done = true;
}

static void fork_child(void)
{
	pid_t pid = fork();

	while (pid == 0)
		pause();
	say("forked", (unsigned)pid);
}

static unsigned bind_another(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_storage addr;
	socklen_t len = guest_address("198.51.100.5", 7001, &addr);

	return fd < 0 || bind(fd, (struct sockaddr *)&addr, len) < 0 ? (unsigned)errno : 0;
}

int main(int argc, char **argv)
{
	static const int steps[] = { SIGUSR1, SIGUSR2, SIGURG, SIGQUIT, SIGWINCH, SIGIO, SIGHUP };
	struct sockaddr_storage addr;
	socklen_t len;
	int fd = socket(AF_INET, SOCK_DGRAM, 0), step, ttl = 7;
	sigset_t set;

	if (argc != 2)
		return 1;
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		sigaddset(&set, steps[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	len = guest_address("0.0.0.0", (uint16_t)strtoul(argv[1], NULL, 10), &addr);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) < 0)
		guest_die("bind");
	say("ready", 0);
	while (sigwait(&set, &step) == 0) {
		if (step == SIGUSR1)
			answer(fd);
		else if (step == SIGUSR2)
			close_others(fd);
		else if (step == SIGURG)
			say("set",
			    (unsigned)-setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)));
		else if (step == SIGQUIT)
			say("bound", bind_another());
		else if (step == SIGWINCH)
			fork_child();
		else if (step == SIGIO)
			say("nothing", 0);
		else
			say("closed", (unsigned)-close(fd));
	}
	return 1;
}
