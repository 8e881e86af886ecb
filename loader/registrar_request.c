/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/registrar_request.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "loader/dispatcher.h"
#include "loader/registrar_message.h"
#include "loader/registrar_reply.h"
#include "state/bpfsys.h"
#include "state/cleanup.h"
#include "state/slots.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* A client sends at once what it has to send. */
#define RECEIVE_SECONDS 1
#define REFUSE_MS       50 /* for one that is not going to be answered */

/* All that is known of a request. */
struct work {
	const char *bpffs;
	const struct peer *peer;
	const struct isomer_registrar_request *q;
	int fd; /* the client's socket */
	struct netns ns;
	int ns_fd; /* that namespace */
	struct isomer_state st;
	struct isomer_registrar_reply *reply;
};

static int fail(struct work *w, enum isomer_registrar_stage stage, int error)
{
	w->reply->stage = (__u16)stage;
	w->reply->error = error;
	return -1;
}

/* Which namespace is the socket of? Nothing here waits for what the client holds: an ioctl or
 * fstat() of a file could, so that it is a socket is asked in a way that no file can answer. */
static int find_netns(struct work *w)
{
	socklen_t len = sizeof(int);
	struct stat sb;
	int type;

	if (getsockopt(w->fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return fail(w, ISOMER_REGISTRAR_SOCKET, -errno);
	w->ns_fd = ioctl(w->fd, SIOCGSKNS);
	if (w->ns_fd < 0)
		return fail(w, ISOMER_REGISTRAR_SOCKET, -errno);
	if (fstat(w->ns_fd, &sb) < 0)
		return fail(w, ISOMER_REGISTRAR_STATE, -errno);
	len = sizeof(w->ns.cookie);
	if (getsockopt(w->fd, SOL_SOCKET, SO_NETNS_COOKIE, &w->ns.cookie, &len) < 0)
		w->ns.cookie = 0; /* before Linux 5.14 */

	w->ns.path = "the socket's namespace";
	w->ns.inode = sb.st_ino;
	w->reply->netns_inode = sb.st_ino;
	return 0;
}

/* Inode numbers come back after a namespace dies: the link knows which one it is attached to. */
static int find_state(struct work *w)
{
	int r;

	r = isomer_state_open(w->bpffs, w->ns.inode, &w->st);
	if (r == 0)
		r = dispatcher_check_attached(w->st.path, w->ns.inode);
	if (r == 0)
		r = isomer_state_check_netns(&w->st, w->ns.cookie);
	if (r == -EOPNOTSUPP)
		r = 0;
	return r < 0 ? fail(w, ISOMER_REGISTRAR_STATE, r) : 0;
}

/* Opens the slots as the client, so that the kernel judges by owner and mode of the pin. From
 * within the state folder: who may register is a matter of that pin, and not of whether the client
 * may search the BPF filesystem, or sees one. */
static int open_slots(struct work *w, int *ret_fd)
{
	char name[ISOMER_SLOTS_NAME_SIZE];
	int r;

	r = isomer_slots_name(w->q->label, w->q->domain, w->q->protocol, name);
	if (r == 0 && chdir(w->st.path) < 0)
		r = -errno;
	if (r == 0)
		r = peer_become(w->peer);
	if (r == 0)
		r = bpfsys_obj_get(name, 0, ret_fd);
	if (peer_leave() < 0 && r == 0)
		r = -EPERM;
	/* Which labels there are is nobody's business who does not see the state. */
	if (r == -ENOENT && w->peer->uid != 0)
		r = -EACCES;
	return r < 0 ? fail(w, ISOMER_REGISTRAR_LABEL, r) : 0;
}

static int check(struct work *w)
{
	CLEANUP_FD int slots_fd = -1;
	uint64_t cookies[ISOMER_SLOTS];
	int r;

	if (open_slots(w, &slots_fd) < 0)
		return -1;
	r = isomer_slots_read(slots_fd, cookies);
	if (r < 0)
		return fail(w, ISOMER_REGISTRAR_SLOTS, r);
	memcpy(w->reply->slots, cookies, sizeof(w->reply->slots));
	return 0;
}

/* Only now, as a client may keep his socket locked: who has no right to the label is not let that
 * far. */
static int inspect(struct work *w, struct isomer_socket *ret)
{
	int r = isomer_socket_inspect(w->fd, ret);

	if (r == 0 && (ret->protocol != w->q->protocol ||
		       !(w->q->domain == AF_INET6 ? ret->ipv6 : ret->ipv4)))
		r = -EPROTOTYPE;
	return r < 0 ? fail(w, ISOMER_REGISTRAR_SOCKET, r) : 0;
}

/* As the library's own way: the slots may be replaced meanwhile. */
static int put(struct work *w)
{
	enum isomer_slots_place place = w->q->standby ? ISOMER_PLACE_STANDBY : ISOMER_PLACE_CURRENT;
	struct isomer_socket s;

	for (int attempt = 0; attempt < ISOMER_SLOTS_ATTEMPTS; attempt++) {
		CLEANUP_FD int slots_fd = -1;
		int r;

		if (open_slots(w, &slots_fd) < 0 || inspect(w, &s) < 0)
			return -1;
		r = isomer_slots_put(slots_fd, w->fd, s.cookie, place, &w->reply->slot);
		if (r < 0)
			return fail(w, ISOMER_REGISTRAR_SLOTS, r);
		r = isomer_slots_check(&w->st, w->q->label, w->q->domain, w->q->protocol, slots_fd);
		if (r != -ESTALE && r != -ENOENT) /* the latter is told by open_slots() */
			return 0;
	}
	return fail(w, ISOMER_REGISTRAR_SLOTS, -ESTALE);
}

/* A socket to answer from is for one that gets such traffic. */
static int check_in_slots(struct work *w, uint64_t *ret_cookie)
{
	CLEANUP_FD int slots_fd = -1;
	uint64_t cookies[ISOMER_SLOTS];
	struct isomer_socket s;
	int r;

	if (open_slots(w, &slots_fd) < 0 || inspect(w, &s) < 0)
		return -1;
	r = isomer_slots_read(slots_fd, cookies);
	if (r < 0)
		return fail(w, ISOMER_REGISTRAR_SLOTS, r);
	for (int slot = 0; slot < ISOMER_SLOTS; slot++)
		if (cookies[slot] == s.cookie) {
			*ret_cookie = s.cookie;
			return 0;
		}
	return fail(w, ISOMER_REGISTRAR_SLOTS, -ENOTCONN);
}

static int reply_socket(struct work *w, int *ret_fd)
{
	uint64_t cookie;
	int r;

	if (check_in_slots(w, &cookie) < 0)
		return -1;
	r = reply_socket_check(w->bpffs, &w->ns, w->q, cookie);
	if (r < 0)
		return fail(w, ISOMER_REGISTRAR_BINDING, r);
	/* Its owner, as far as there is one, is the client. */
	r = peer_become(w->peer);
	if (r == 0)
		r = reply_socket_make(w->ns_fd, w->q, ret_fd);
	return r < 0 ? fail(w, ISOMER_REGISTRAR_ADDRESS, r) : 0;
}

static void fulfil(struct work *w, int *ret_fd)
{
	if (find_netns(w) < 0 || find_state(w) < 0)
		return;
	switch (w->q->type) {
	case ISOMER_REGISTRAR_CHECK:
		(void)check(w);
		break;
	case ISOMER_REGISTRAR_REGISTER:
		(void)put(w);
		break;
	default:
		(void)reply_socket(w, ret_fd);
	}
}

static void reply_init(struct isomer_registrar_reply *reply, const struct peer *peer)
{
	*reply = (struct isomer_registrar_reply){
		.magic = ISOMER_REGISTRAR_MAGIC,
		.version = ISOMER_REGISTRAR_VERSION,
		.uid = peer->uid,
		.slot = -1,
	};
}

void registrar_answer(const char *bpffs, int connection, const struct peer *peer)
{
	const struct timeval timeout = { .tv_sec = RECEIVE_SECONDS };
	struct isomer_registrar_request q;
	struct isomer_registrar_reply reply;
	CLEANUP_FD int fd = -1, reply_fd = -1;
	struct work w = {
		.bpffs = bpffs, .peer = peer, .q = &q, .fd = -1, .ns_fd = -1, .reply = &reply
	};
	int r;

	reply_init(&reply, peer);
	if (setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		return;
	r = registrar_receive(connection, &q, &fd);
	w.fd = fd;
	if (r < 0)
		(void)fail(&w, ISOMER_REGISTRAR_REQUEST, r);
	else
		fulfil(&w, &reply_fd);
	/* Before the client hears of it: his socket is his alone then, and gone when he closes it.
	 */
	cleanup_closep(&fd);
	fd = -1;
	registrar_send(connection, &reply, reply_fd);
	cleanup_closep(&w.ns_fd);
}

void registrar_refuse(int connection, const struct peer *peer)
{
	struct pollfd readable = { .fd = connection, .events = POLLIN };
	struct isomer_registrar_reply reply;

	reply_init(&reply, peer);
	reply.stage = ISOMER_REGISTRAR_REQUEST;
	reply.error = -EBUSY;
	/* A request that nobody takes would make the client hear of a reset, and not of this. */
	(void)poll(&readable, 1, REFUSE_MS);
	(void)recv(connection, NULL, 0, MSG_DONTWAIT);
	registrar_send(connection, &reply, -1);
}
