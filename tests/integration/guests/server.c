/* SPDX-License-Identifier: BSD-3-Clause */
/* server [--name NAME] [--fd0] [--other-netns] [--seccomp] [--no-proc] [--bare-proc]
 * [--title] [--raw] SOCKET…
 *
 * Opens the sockets, prints what came of it, then "ready", and serves: greets TCP clients with its
 * name, prints what UDP clients send.
 *
 * SOCKET is tcp,IP,PORT or udp,IP,PORT or mptcp,IP,PORT, with options behind commas: "dual" (both
 * IP versions), "v6only", "reuseport", "again" (listen() a second time; bind() a second time, to
 * the next port), "listening" (before listen(), by a system call of its own past libc), "close"
 * (closed before the next socket is opened).
 *
 * --fd0          the first socket is descriptor 0
 * --other-netns  the sockets are made in a new network namespace, and bound and listened on after
 *                the return from it
 * --seccomp      bpf() kills the process
 * --no-proc      /proc is empty
 * --raw          listens by a system call of its own, past libc
 * --title        writes over its environment, as programs do to show a title
 * --bare-proc    of /proc there is thread-self/status alone
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "guest.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define SOCKETS_MAX 64

struct spec {
	char text[128];
	char *protocol, *ip;
	uint16_t port;
	bool dual, v6only, reuseport, again, listening, close;
};

static const char *name = "guest";
static bool other_netns, raw;
static int home_netns = -1;
static struct pollfd sockets[SOCKETS_MAX];
static bool is_udp[SOCKETS_MAX];
static nfds_t n_sockets;

static struct spec spec_parse(const char *text)
{
	static char copy[sizeof(((struct spec *)0)->text)];
	struct spec s = { 0 };
	char *rest = copy, *word;

	snprintf(s.text, sizeof(s.text), "%s", text);
	snprintf(copy, sizeof(copy), "%s", text);
	s.protocol = strsep(&rest, ",");
	s.ip = strsep(&rest, ",");
	word = strsep(&rest, ",");
	if (!word)
		guest_die(text);
	s.port = (uint16_t)strtoul(word, NULL, 10);
	while ((word = strsep(&rest, ","))) {
		s.dual = s.dual || !strcmp(word, "dual");
		s.v6only = s.v6only || !strcmp(word, "v6only");
		s.reuseport = s.reuseport || !strcmp(word, "reuseport");
		s.again = s.again || !strcmp(word, "again");
		s.listening = s.listening || !strcmp(word, "listening");
		s.close = s.close || !strcmp(word, "close");
	}
	return s;
}

static void enter_other_netns(void)
{
	if (home_netns < 0)
		home_netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home_netns < 0 || unshare(CLONE_NEWNET) < 0)
		guest_die("unshare");
}

static void leave_other_netns(void)
{
	if (setns(home_netns, CLONE_NEWNET) < 0)
		guest_die("setns");
}

static int spec_socket(const struct spec *s, int family)
{
	bool udp = !strcmp(s->protocol, "udp");
	int on = 1, v6only = s->v6only, fd;

	if (other_netns)
		enter_other_netns();
	fd = socket(family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC,
		    !strcmp(s->protocol, "mptcp") ? IPPROTO_MPTCP : 0);
	if (other_netns)
		leave_other_netns();
	if (fd < 0)
		guest_die("socket");
	/* The port's former server may have left connections in TIME_WAIT. */
	if (!udp && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		guest_die("SO_REUSEADDR");
	if (s->reuseport && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
		guest_die("SO_REUSEPORT");
	if ((s->dual || s->v6only) &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)) < 0)
		guest_die("IPV6_V6ONLY");
	return fd;
}

static void print_result(const struct spec *s, int fd, const char *call, int result)
{
	int saved = errno, accepting = 0;
	struct sockaddr_storage addr = { 0 };
	socklen_t len = sizeof(accepting);

	(void)getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &len);
	len = sizeof(addr);
	(void)getsockname(fd, (struct sockaddr *)&addr, &len);
	printf("%s: %s=%d errno=%s fd=%d accepting=%d bound=%d\n", s->text, call, result,
	       saved == GUEST_ERRNO ? "untouched" : strerrorname_np(saved), fd, accepting,
	       ((struct sockaddr_in *)&addr)->sin_port != 0);
}

static int spec_bind(const struct spec *s, int fd, uint16_t port)
{
	struct sockaddr_storage addr;
	socklen_t len = guest_address(s->ip, port, &addr);
	int r;

	errno = GUEST_ERRNO;
	r = bind(fd, (struct sockaddr *)&addr, len);
	print_result(s, fd, "bind", r);
	return r;
}

static void spec_open(const struct spec *s)
{
	struct sockaddr_storage addr;
	bool udp = !strcmp(s->protocol, "udp");
	int fd, r;

	(void)guest_address(s->ip, s->port, &addr);
	fd = spec_socket(s, addr.ss_family);
	r = spec_bind(s, fd, s->port);
	if (udp && s->again)
		(void)spec_bind(s, fd, s->port + 1);
	if (s->listening && syscall(SYS_listen, fd, 16) < 0)
		guest_die("listen");
	for (int i = 0; r == 0 && !udp && i < 1 + s->again; i++) {
		errno = GUEST_ERRNO;
		r = raw ? (int)syscall(SYS_listen, fd, 16) : listen(fd, 16);
		print_result(s, fd, "listen", r);
	}
	if (s->close) {
		close(fd);
		return;
	}
	is_udp[n_sockets] = udp;
	sockets[n_sockets++] = (struct pollfd){ .fd = r == 0 ? fd : -1, .events = POLLIN };
}

static void kill_on_bpf(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(filter) / sizeof(*filter), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		guest_die("seccomp");
}

static void hide_proc(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/proc", "tmpfs", 0, NULL) < 0)
		guest_die("hide /proc");
}

static void bare_proc(void)
{
	FILE *status;

	hide_proc();
	if (mkdir("/proc/thread-self", 0755) < 0)
		guest_die("mkdir");
	status = fopen("/proc/thread-self/status", "w");
	if (!status || fputs("Name:\tserver\nSeccomp:\t0\n", status) < 0 || fclose(status) != 0)
		guest_die("status");
}

static void write_over_environment(void)
{
	for (char **entry = environ; *entry; entry++)
		memset(*entry, 'x', strlen(*entry));
}

static void serve_udp(int fd)
{
	char text[256];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	if (n < 0)
		return;
	text[n] = '\0';
	printf("%s got %s\n", name, text);
}

static void serve(void)
{
	for (;;) {
		if (poll(sockets, n_sockets, -1) < 0)
			guest_die("poll");
		for (nfds_t i = 0; i < n_sockets; i++) {
			if (!sockets[i].revents)
				continue;
			if (is_udp[i])
				serve_udp(sockets[i].fd);
			else
				guest_serve_one(sockets[i].fd, name);
		}
	}
}

static bool option(const char *text)
{
	if (!strcmp(text, "--fd0"))
		close(0);
	else if (!strcmp(text, "--other-netns"))
		other_netns = true;
	else if (!strcmp(text, "--raw"))
		raw = true;
	else if (!strcmp(text, "--seccomp"))
		kill_on_bpf();
	else if (!strcmp(text, "--title"))
		write_over_environment();
	else if (!strcmp(text, "--no-proc"))
		hide_proc();
	else if (!strcmp(text, "--bare-proc"))
		bare_proc();
	else
		return !strcmp(text, "--");
	return true;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++) {
		struct spec s;

		if (!strcmp(argv[i], "--name") && i + 1 < argc) {
			name = argv[++i];
		} else if (!option(argv[i])) {
			s = spec_parse(argv[i]);
			spec_open(&s);
		}
	}
	puts("ready");
	serve();
}
