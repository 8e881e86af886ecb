/* SPDX-License-Identifier: BSD-3-Clause */
#include "integration/registrar_client.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "state/cleanup.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

#define DESCRIPTORS_MAX 253
#define ANSWER_SECONDS  30

struct process *registrar_start(void)
{
	const char *argv[] = { loader_path(), "registrar", NULL };
	struct process *p;

	if (access("/run/isomer", F_OK) < 0)
		assert_int_equal(mount("none", "/run", "tmpfs", 0, "mode=0755"), 0);
	p = process_start(&(struct process_options){ .argv = argv });
	process_wait_output(p, "Listening on " ISOMER_REGISTRAR_PATH);
	return p;
}

struct process *registrar_start_if_needed(void)
{
	CLEANUP_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie;
	socklen_t len = sizeof(cookie);

	assert_return_code(fd, errno);
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) == 0)
		return NULL;
	assert_int_equal(errno, ENOPROTOOPT);
	return registrar_start();
}

struct netns_fixture *registrar_dispatcher(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);

	loader_ok("load", "--max-destinations", "64", NULL);
	loader_ok("bind", "foo", "tcp", "127.0.0.0/8", "4321", NULL);
	loader_ok("bind", "foo", "udp", "127.0.0.0/8", "53", NULL);
	loader_ok("bind", "foo", "udp", "::1", "53", NULL);
	return ns;
}

struct netns_fixture *registrar_with_dispatcher(void **state)
{
	struct netns_fixture *ns = registrar_dispatcher(state);

	registrar_start();
	return ns;
}

struct isomer_registrar_request registrar_request(enum isomer_registrar_type type, uint8_t domain,
						  uint8_t protocol)
{
	return (struct isomer_registrar_request){
		.magic = ISOMER_REGISTRAR_MAGIC,
		.version = ISOMER_REGISTRAR_VERSION,
		.type = (uint16_t)type,
		.domain = domain,
		.protocol = protocol,
		.label = "foo",
	};
}

int registrar_connect(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = ISOMER_REGISTRAR_PATH };
	const struct timeval timeout = { .tv_sec = ANSWER_SECONDS };
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int registrar_send_raw(int connection, const void *bytes, size_t size, const int *fds, size_t n)
{
	union {
		struct cmsghdr first;
		char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
	} control = { .first = { .cmsg_len = CMSG_LEN(n * sizeof(int)),
				 .cmsg_level = SOL_SOCKET,
				 .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { .iov_base = (void *)bytes, .iov_len = size };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n > 0) {
		memcpy(CMSG_DATA(&control.first), fds, n * sizeof(int));
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(n * sizeof(int));
	}
	return sendmsg(connection, &header, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int registrar_receive_raw(int connection, struct isomer_registrar_reply *ret, int *ret_fd)
{
	union {
		struct cmsghdr first;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = ret, .iov_len = sizeof(*ret) };
	struct msghdr header = { .msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(connection, &header, MSG_CMSG_CLOEXEC);
	CLEANUP_FD int fd = -1;

	if (n < 0)
		return -errno;
	if (n == 0)
		return -ENODATA;
	if (CMSG_FIRSTHDR(&header))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(fd));
	if (n != sizeof(*ret))
		return -EMSGSIZE;
	if (ret_fd)
		*ret_fd = TAKE_FD(fd);
	return 0;
}

static int ask(const struct isomer_registrar_request *q, int fd, struct isomer_registrar_reply *ret,
	       int *ret_fd)
{
	CLEANUP_FD int connection = registrar_connect();
	int r;

	if (connection < 0)
		return connection;
	r = registrar_send_raw(connection, q, sizeof(*q), &fd, 1);
	return r < 0 ? r : registrar_receive_raw(connection, ret, ret_fd);
}

struct isomer_registrar_reply registrar_ask(const struct isomer_registrar_request *q, int fd,
					    int *ret_fd)
{
	struct isomer_registrar_reply reply;
	int r = ask(q, fd, &reply, ret_fd);

	if (r < 0)
		fail_msg("the registrar does not answer: %s", strerror(-r));
	return reply;
}

struct isomer_registrar_reply registrar_register(uint8_t domain, uint8_t protocol, int fd)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_REGISTER, domain, protocol);

	return registrar_ask(&q, fd, NULL);
}

void registrar_failed(const struct isomer_registrar_reply *reply, int stage, int error)
{
	if (reply->stage != stage || reply->error != error)
		fail_msg("stage %u, %s, but expected stage %d, %s", reply->stage,
			 strerror(-reply->error), stage, strerror(-error));
}

void registrar_done(const struct isomer_registrar_reply *reply)
{
	registrar_failed(reply, ISOMER_REGISTRAR_DONE, 0);
	assert_int_equal(reply->magic, ISOMER_REGISTRAR_MAGIC);
	assert_int_equal(reply->version, ISOMER_REGISTRAR_VERSION);
}

/* ---- as somebody else ---- */

void *identity_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

static int write_file(const char *path, const char *text)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -errno;
}

static int become_root_of_own(const struct identity *who)
{
	char uids[32], gids[32];

	snprintf(uids, sizeof(uids), "0 %u 1", who->uid);
	snprintf(gids, sizeof(gids), "0 %u 1", who->gid);
	/* Whoever changed his ids may not write to his own /proc. */
	if (prctl(PR_SET_DUMPABLE, 1) < 0 || unshare(CLONE_NEWUSER) < 0 ||
	    write_file("/proc/self/setgroups", "deny") < 0 ||
	    write_file("/proc/self/uid_map", uids) < 0 ||
	    write_file("/proc/self/gid_map", gids) < 0)
		return -errno;
	return 0;
}

static int drop_capabilities(void)
{
	cap_t none = cap_init();
	int r = none && cap_set_proc(none) == 0 ? 0 : -errno;

	cap_free(none);
	return r;
}

static int become(const struct identity *who)
{
	int r;

	if (setgroups(who->n_groups, who->groups) < 0 ||
	    setresgid(who->gid, who->gid, who->gid) < 0 ||
	    setresuid(who->uid, who->uid, who->uid) < 0)
		return -errno;
	r = drop_capabilities();
	if (r < 0 || !who->user_namespace)
		return r;
	/* Which gives him capabilities over what is his. */
	r = become_root_of_own(who);
	return r < 0 ? r : drop_capabilities();
}

const struct identity identity_nobody = { .uid = NOBODY, .gid = NOBODY };

void identity_run(const struct identity *who, void (*act)(void *arg), void *arg)
{
	pid_t pid = fork();
	int status;

	assert_return_code(pid, errno);
	if (pid == 0) {
		if (become(who) < 0)
			_exit(1);
		act(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

struct question {
	struct isomer_registrar_request q;
	int fd, result;
	struct isomer_registrar_reply reply;
};

static void ask_question(void *arg)
{
	struct question *question = arg;

	question->result = ask(&question->q, question->fd, &question->reply, NULL);
}

struct isomer_registrar_reply identity_ask(const struct identity *who,
					   const struct isomer_registrar_request *q, int fd)
{
	struct question *question = identity_memory(sizeof(*question));

	question->q = *q;
	question->fd = fd;
	question->result = -ENODATA;
	identity_run(who, ask_question, question);
	if (question->result < 0)
		fail_msg("the registrar does not answer: %s", strerror(-question->result));
	return question->reply;
}
