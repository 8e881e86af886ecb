/* SPDX-License-Identifier: BSD-3-Clause */
/* uring IP PORT: listens by io_uring, which goes past libc and every hook of it, prints "ready",
 * and serves; "no listen" on a kernel whose io_uring cannot.
 */
#include <liburing.h>

#include "guest.h"

/* Linux 6.11; newer than Debian 12's header. */
#define OP_LISTEN 57

static int listen_by_uring(int fd)
{
	struct io_uring ring;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	int ret;

	if (io_uring_queue_init(2, &ring, 0) < 0)
		return -1;
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_nop(sqe);
	sqe->opcode = OP_LISTEN;
	sqe->fd = fd;
	sqe->len = 16;
	if (io_uring_submit(&ring) != 1 || io_uring_wait_cqe(&ring, &cqe) < 0)
		return -1;
	ret = cqe->res;
	io_uring_queue_exit(&ring);
	return ret;
}

int main(int argc, char **argv)
{
	int fd;

	if (argc != 3)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = guest_tcp(argv[1], (uint16_t)strtoul(argv[2], NULL, 10), false);
	if (listen_by_uring(fd) < 0)
		puts("no listen");
	puts("ready");
	for (;;)
		guest_serve_one(fd, "uring");
}
