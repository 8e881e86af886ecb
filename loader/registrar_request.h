/* SPDX-License-Identifier: BSD-3-Clause */
/* One request of the registrar: who asks, for which socket, and may he? */
#pragma once

#include "loader/registrar_peer.h"

/**
 * Answers the request of @connection, whose client is @peer. In a process that does nothing else:
 * a client may keep it waiting (by a descriptor of a file system of his own, or a socket that he
 * keeps locked), and its credentials and namespaces are another's afterwards.
 */
void registrar_answer(const char *bpffs, int connection, const struct peer *peer);

/** Tells the client that there are too many requests of his. */
void registrar_refuse(int connection, const struct peer *peer);
