/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls that the hooks stand in front of: of the next library, or of the kernel. */
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

/* What bind(2) and listen(2) return. */
int real_bind(int fd, const struct sockaddr *addr, socklen_t len);
int real_listen(int fd, int backlog);

/** Finds the calls below. Until then they are the kernel's: programs make them at times and in
 * places (signal handlers, malloc() of their own) from which nothing can be looked up. */
void real_start(void);

ssize_t real_recv(int fd, void *buf, size_t n, int flags);
ssize_t real_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
		      socklen_t *len);
ssize_t real_recvmsg(int fd, struct msghdr *m, int flags);
int real_recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout);
ssize_t real_read(int fd, void *buf, size_t n);
ssize_t real_readv(int fd, const struct iovec *iov, int n);

ssize_t real_send(int fd, const void *buf, size_t n, int flags);
ssize_t real_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr,
		    socklen_t len);
ssize_t real_sendmsg(int fd, const struct msghdr *m, int flags);
int real_sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags);
ssize_t real_write(int fd, const void *buf, size_t n);
ssize_t real_writev(int fd, const struct iovec *iov, int n);

int real_socket(int domain, int type, int protocol);
int real_close(int fd);
int real_dup(int fd);
int real_dup2(int fd, int copy);
int real_dup3(int fd, int copy, int flags);
int real_fcntl(int fd, int command, void *argument);

int real_ioctl(int fd, unsigned long request, void *argument);
int real_getsockopt(int fd, int level, int option, void *value, socklen_t *len);
int real_setsockopt(int fd, int level, int option, const void *value, socklen_t len);
