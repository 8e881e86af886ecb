/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets of other processes, by pidfd_getfd(2): needs CAP_SYS_PTRACE for those of others. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "state/socket.h"

/** Calls @visit with a duplicate of each socket among the descriptors of @pid; it is closed
 * afterwards. What @visit returns other than 0 ends the walk and is returned. Returns 0, -ESRCH
 * when there is no such process, or another negative errno. */
int process_sockets_visit(pid_t pid, int (*visit)(int fd, void *arg), void *arg);

#define PROCESS_NAME_SIZE (16 + 1)

/** What the process calls itself, "" when it is gone. */
void process_name(pid_t pid, char ret[PROCESS_NAME_SIZE]);

/** Who holds a socket. */
struct socket_owner {
	pid_t pid; /* the first that was found; 0: nobody that the caller may look into */
	char comm[PROCESS_NAME_SIZE];
	struct isomer_socket socket;
};

/** Finds the owners of the sockets with the given cookies. Best effort: only processes that the
 * caller may look into are seen. @ret: @n entries. Returns 0 or -errno. */
int process_sockets_find_owners(const uint64_t *cookies, size_t n, struct socket_owner *ret);
