/* SPDX-License-Identifier: BSD-3-Clause */
/* Why a socket is not registered, and what the operator can do about it. */
#pragma once

#include <stdint.h>

#include "preload/config.h"
#include "state/socket.h"

enum failure_stage {
	FAILURE_NONE,
	FAILURE_SOCKET,  /* cannot be registered whatever the dispatcher says */
	FAILURE_SECCOMP, /* bpf() must not be called */
	FAILURE_STATE,   /* no state folder, or not a good one */
	FAILURE_NETNS,   /* not the socket's namespace */
	FAILURE_LABEL,   /* no slots for the label, or no right to them */
	FAILURE_SLOTS,   /* the socket was not taken */
};

struct failure {
	enum failure_stage stage;
	int error;            /* negative errno; 1 for a seccomp filter that is there */
	uint64_t netns_inode; /* that was looked for */
};

/** The errno of a call that fails for it: ENOENT when something has to be set up first, EACCES. */
int failure_errno(const struct failure *f);

/** Says it, once for each reason and label. @consequence: what follows, "" for nothing. errno
 * survives. */
void failure_report(const struct failure *f, const struct config *config, const char *label,
		    const struct isomer_socket *s, const char *consequence);
