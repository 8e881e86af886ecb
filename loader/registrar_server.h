/* SPDX-License-Identifier: BSD-3-Clause */
/* Serves a listening socket, each connection in a process of its own, until SIGTERM or SIGINT.
 *
 * The parent holds no connection and nothing that a client has sent, so no client can keep it
 * waiting: it sees to it that one child waits in accept(), counts children and kills those that
 * take too long, or the oldest when there are too many.
 */
#pragma once

struct registrar_server {
	int fd; /* the listening socket */
	const char *bpffs;
};

/** To be called before anybody can know that it serves, and end it: signals wait for
 * registrar_serve(). Returns 0 or -errno. */
int registrar_hold_signals(void);

/** Returns 0 after a signal, or -errno when it could not begin. */
int registrar_serve(const struct registrar_server *server);
