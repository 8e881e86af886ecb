/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls that the hooks stand in front of: of the next library, or of the kernel. */
#pragma once

#include <sys/socket.h>

/* What bind(2) and listen(2) return. */
int real_bind(int fd, const struct sockaddr *addr, socklen_t len);
int real_listen(int fd, int backlog);
