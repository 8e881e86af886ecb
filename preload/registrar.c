/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/registrar.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <isomer/registrar.h>

#include "preload/claim.h"
#include "state/cleanup.h"

/* A server that waits for longer looks as if it hung. */
#define TIMEOUT_SECONDS 2

/* ---- calls ---- */

/* Not libc's functions: they are hooked, by this library or another one, and are cancellation
 * points. Returns what the call does, or -errno. */
static long call(long number, long a, long b, long c)
{
	int saved = errno;
	long ret = syscall(number, a, b, c);

	if (ret < 0)
		ret = -errno;
	errno = saved;
	return ret;
}

static time_t now(void)
{
	struct timespec ts = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* The same for one that waits. A signal handler may interrupt it, again and again. */
static long call_waiting(long number, long a, long b, long c)
{
	time_t end = now() + TIMEOUT_SECONDS;
	long ret;

	do {
		ret = call(number, a, b, c);
	} while (ret == -EINTR && now() <= end);
	return ret == -EINTR || ret == -EAGAIN || ret == -EWOULDBLOCK ? -ETIMEDOUT : ret;
}

static int set_timeout(int fd, int option)
{
	const struct timeval timeout = { .tv_sec = TIMEOUT_SECONDS };
	int saved = errno, ret;

	ret = setsockopt(fd, SOL_SOCKET, option, &timeout, sizeof(timeout)) < 0 ? -errno : 0;
	errno = saved;
	return ret;
}

/* ---- messages ---- */

static int connect_to(const char *path, int *ret_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	CLEANUP_FD int fd = -1;
	long ret;

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1); /* fits: it was checked */
	fd = (int)call(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	ret = set_timeout(fd, SO_SNDTIMEO); /* counts for connect() too */
	if (ret == 0)
		ret = set_timeout(fd, SO_RCVTIMEO);
	if (ret == 0)
		ret = call_waiting(SYS_connect, fd, (long)&address, sizeof(address));
	if (ret < 0)
		return (int)ret;

	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* A message of one packet, and one descriptor. */
struct message {
	struct iovec iov;
	struct msghdr header;
	union {
		struct cmsghdr first; /* for its alignment */
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
};

static void message_init(struct message *m, const void *data, size_t size)
{
	memset(m, 0, sizeof(*m));
	m->iov = (struct iovec){ .iov_base = (void *)data, .iov_len = size };
	m->header.msg_iov = &m->iov;
	m->header.msg_iovlen = 1;
	m->header.msg_control = m->control.bytes;
	m->header.msg_controllen = sizeof(m->control.bytes);
}

static int send_request(int connection, const struct isomer_registrar_request *q, int fd)
{
	struct message m;
	long ret;

	message_init(&m, q, sizeof(*q));
	m.control.first = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(sizeof(int)),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
	};
	memcpy(CMSG_DATA(&m.control.first), &fd, sizeof(fd));
	ret = call_waiting(SYS_sendmsg, connection, (long)&m.header, MSG_NOSIGNAL);
	return ret < 0 ? (int)ret : 0;
}

/* @ret_fd: -1 when no descriptor came. */
static int receive_reply(int connection, struct isomer_registrar_reply *ret, int *ret_fd)
{
	const struct cmsghdr *first;
	struct message m;
	long n;

	message_init(&m, ret, sizeof(*ret));
	n = call_waiting(SYS_recvmsg, connection, (long)&m.header, MSG_CMSG_CLOEXEC);
	*ret_fd = -1;
	first = CMSG_FIRSTHDR(&m.header);
	if (n >= 0 && first && first->cmsg_level == SOL_SOCKET && first->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(first), sizeof(*ret_fd));
	if (n < 0)
		return (int)n;
	/* Who limits its clients closes without a word. */
	if (n == 0)
		return -EBUSY;
	if (n != sizeof(*ret) || ret->magic != ISOMER_REGISTRAR_MAGIC ||
	    ret->version != ISOMER_REGISTRAR_VERSION || ret->error > 0)
		return -EPROTO;
	return 0;
}

/* ---- requests ---- */

struct by_registrar {
	struct way way;
	uint64_t netns_inode; /* of the socket's namespace, as the last reply has it */
};

static int fail(struct failure *ret, enum failure_stage stage, int error)
{
	*ret = (struct failure){ .stage = stage, .error = error };
	return -1;
}

/* What it said, as if this process had found it out itself. */
static int refused(const struct isomer_registrar_reply *reply, struct failure *ret)
{
	static const enum failure_stage stages[] = {
		[ISOMER_REGISTRAR_DONE] = FAILURE_REGISTRAR,
		[ISOMER_REGISTRAR_REQUEST] = FAILURE_REGISTRAR,
		[ISOMER_REGISTRAR_SOCKET] = FAILURE_SOCKET,
		[ISOMER_REGISTRAR_STATE] = FAILURE_STATE,
		[ISOMER_REGISTRAR_LABEL] = FAILURE_LABEL,
		[ISOMER_REGISTRAR_SLOTS] = FAILURE_SLOTS,
		[ISOMER_REGISTRAR_BINDING] = FAILURE_ADDRESS,
		[ISOMER_REGISTRAR_ADDRESS] = FAILURE_ADDRESS,
	};

	if (reply->stage >= sizeof(stages) / sizeof(stages[0]))
		return fail(ret, FAILURE_REGISTRAR, -EPROTO);
	fail(ret, stages[reply->stage], reply->error);
	ret->netns_inode = reply->netns_inode;
	ret->uid = reply->uid;
	ret->registrar = 1;
	return -1;
}

static int exchange(const struct request *r, const struct isomer_registrar_request *q,
		    struct isomer_registrar_reply *ret, int *ret_fd)
{
	CLEANUP_FD int connection = -1;
	int error;

	error = connect_to(r->config->registrar, &connection);
	if (error == 0)
		error = send_request(connection, q, r->fd);
	return error < 0 ? error : receive_reply(connection, ret, ret_fd);
}

/* A request and its answer. @ret_fd: -1 when no descriptor came. */
static int ask(const struct request *r, struct isomer_registrar_request *q,
	       struct isomer_registrar_reply *ret, int *ret_fd, struct failure *ret_failure)
{
	CLEANUP_FD int fd = -1;
	int error;

	q->magic = ISOMER_REGISTRAR_MAGIC;
	q->version = ISOMER_REGISTRAR_VERSION;
	q->protocol = r->s->protocol;
	strncpy(q->label, r->label, ISOMER_LABEL_MAX); /* fits: it is a label */

	error = exchange(r, q, ret, &fd);
	/* It went before it answered; its successor may be there. */
	if (error == -ECONNRESET || error == -EPIPE)
		error = exchange(r, q, ret, &fd);
	if (error < 0)
		return fail(ret_failure, FAILURE_REGISTRAR, error);
	if (ret->error < 0)
		return refused(ret, ret_failure);

	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* For requests whose answer brings no descriptor. */
static int ask_plainly(const struct request *r, struct isomer_registrar_request *q,
		       struct isomer_registrar_reply *ret, struct failure *ret_failure)
{
	CLEANUP_FD int fd = -1;

	return ask(r, q, ret, &fd, ret_failure);
}

static int read_slots(struct way *way, const struct request *r, uint8_t domain,
		      uint64_t ret[ISOMER_SLOTS], struct failure *ret_failure)
{
	struct isomer_registrar_request q = { .type = ISOMER_REGISTRAR_CHECK, .domain = domain };
	struct by_registrar *by = (struct by_registrar *)way;
	struct isomer_registrar_reply reply;

	if (ask_plainly(r, &q, &reply, ret_failure) < 0)
		return -1;
	by->netns_inode = reply.netns_inode;
	memcpy(ret, reply.slots, sizeof(reply.slots));
	return 0;
}

static int put(struct way *way, const struct request *r, uint8_t domain,
	       enum isomer_slots_place place, int *ret_slot, struct failure *ret_failure)
{
	struct isomer_registrar_request q = {
		.type = ISOMER_REGISTRAR_REGISTER,
		.domain = domain,
		.standby = place == ISOMER_PLACE_STANDBY,
	};
	struct by_registrar *by = (struct by_registrar *)way;
	struct isomer_registrar_reply reply;

	if (ask_plainly(r, &q, &reply, ret_failure) < 0)
		return -1;
	by->netns_inode = reply.netns_inode;
	*ret_slot = reply.slot;
	return 0;
}

int registrar_check(const struct request *r, struct failure *ret_failure)
{
	struct by_registrar by = { { read_slots, put }, 0 };
	uint64_t slots[ISOMER_SLOTS];

	for (size_t i = 0; i < REQUEST_DOMAINS; i++)
		if (request_serves(r, request_domains[i]) &&
		    read_slots(&by.way, r, request_domains[i], slots, ret_failure) < 0)
			return -1;
	return 0;
}

int registrar_register(const struct request *r, struct outcome *ret, struct failure *ret_failure)
{
	struct by_registrar by = { { read_slots, put }, 0 };

	if (claim_slots(&by.way, r, ret, ret_failure) < 0)
		return -1;
	ret->netns_inode = by.netns_inode;
	return 0;
}

int registrar_reply_socket(const struct request *r, const struct sockaddr *local, int *ret_fd,
			   struct failure *ret_failure)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)local;
	const struct sockaddr_in *in = (const struct sockaddr_in *)local;
	struct isomer_registrar_request q = { .type = ISOMER_REGISTRAR_REPLY_SOCKET };
	struct isomer_registrar_reply reply;
	CLEANUP_FD int fd = -1;

	q.port = ntohs(in->sin_port); /* at the same place in both families */
	q.domain = AF_INET;
	if (local->sa_family == AF_INET) {
		memcpy(q.addr, &in->sin_addr, sizeof(in->sin_addr));
	} else if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		memcpy(q.addr, in6->sin6_addr.s6_addr + 12, sizeof(in->sin_addr));
	} else {
		q.domain = AF_INET6;
		memcpy(q.addr, &in6->sin6_addr, sizeof(q.addr));
	}
	if (ask(r, &q, &reply, &fd, ret_failure) < 0)
		return -1;
	if (fd < 0)
		return fail(ret_failure, FAILURE_REGISTRAR, -EPROTO);

	*ret_fd = TAKE_FD(fd);
	return 0;
}
