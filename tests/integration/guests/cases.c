/* SPDX-License-Identifier: BSD-3-Clause */
/* cases CASE [DIRECTORY]: listens on 127.0.0.1:8080, prints "ready", and greets clients with the
 * name of the case:
 *
 * chroot      in DIRECTORY, which it makes its root before it listens
 * no-unix     under a filter that denies Unix sockets, as RestrictAddressFamilies= does
 * one-thread  in a thread under a filter that kills for bpf(); the main thread, which has none,
 * then listens on port 8081, and greets with "main" hands-over  hands the listening socket to
 * another process by SCM_RIGHTS, and ends with that one serving
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "guest.h"

static int listen_on(uint16_t port)
{
	int fd = guest_tcp("127.0.0.1", port, false);

	if (listen(fd, 128) < 0)
		guest_die("listen");
	return fd;
}

static void ready(void)
{
	puts("ready");
	fflush(stdout);
}

static void serve(int listener, const char *name)
{
	for (;;)
		guest_serve_one(listener, name);
}

static void filter(struct sock_filter *code, size_t n)
{
	struct sock_fprog program = { (unsigned short)n, code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		guest_die("seccomp");
}

static void deny_unix(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	filter(code, sizeof(code) / sizeof(*code));
}

static void *filtered_thread(void *listener)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	filter(code, sizeof(code) / sizeof(*code));
	*(int *)listener = listen_on(8080);
	return NULL;
}

static void one_thread(void)
{
	struct pollfd listeners[2] = { { .events = POLLIN }, { .events = POLLIN } };
	pthread_t thread;

	if (pthread_create(&thread, NULL, filtered_thread, &listeners[0].fd) != 0 ||
	    pthread_join(thread, NULL) != 0)
		guest_die("thread");
	listeners[1].fd = listen_on(8081);
	ready();
	while (poll(listeners, 2, -1) > 0) {
		if (listeners[0].revents)
			guest_serve_one(listeners[0].fd, "one-thread");
		if (listeners[1].revents)
			guest_serve_one(listeners[1].fd, "main");
	}
}

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static void send_socket(int channel, int fd)
{
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	union control control = { .header = { CMSG_LEN(sizeof(fd)), SOL_SOCKET, SCM_RIGHTS } };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	if (sendmsg(channel, &message, 0) != 1)
		guest_die("sendmsg");
}

static int receive_socket(int channel)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	union control control;
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	int fd;

	if (recvmsg(channel, &message, 0) != 1 || message.msg_controllen == 0)
		guest_die("recvmsg");
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

/* The other process is there before there is a socket, and ready before this one ends. */
static void hand_over(void)
{
	int channel[2], fd;
	char byte = 0;

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, channel) < 0)
		guest_die("socketpair");
	if (fork() == 0) {
		fd = receive_socket(channel[1]);
		ready();
		if (send(channel[1], &byte, 1, 0) != 1)
			guest_die("send");
		serve(fd, "hands-over");
	}
	send_socket(channel[0], listen_on(8080));
	if (recv(channel[0], &byte, 1, 0) != 1)
		guest_die("recv");
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	int listener;

	if (!strcmp(name, "hands-over")) {
		hand_over();
		return 0;
	}
	if (!strcmp(name, "one-thread")) {
		one_thread();
		return 1;
	}
	if (!strcmp(name, "no-unix"))
		deny_unix();
	else if (strcmp(name, "chroot") != 0 || argc < 3 || chroot(argv[2]) < 0 || chdir("/") < 0)
		return 1;
	listener = listen_on(8080);
	ready();
	serve(listener, name);
}
