/* SPDX-License-Identifier: BSD-3-Clause */
/* Why a socket is not registered, and what the operator can do about it. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "preload/config.h"
#include "state/socket.h"

enum failure_stage {
	FAILURE_NONE,
	FAILURE_SOCKET,    /* cannot be registered whatever the dispatcher says */
	FAILURE_SECCOMP,   /* bpf() must not be called */
	FAILURE_STATE,     /* no state folder, or not a good one */
	FAILURE_NETNS,     /* not the socket's namespace */
	FAILURE_LABEL,     /* no slots for the label, or no right to them */
	FAILURE_SLOTS,     /* the socket was not taken */
	FAILURE_ADDRESS,   /* no socket could be bound to an address for answers from there */
	FAILURE_REGISTRAR, /* it did not answer, or did not understand */
};

struct failure {
	enum failure_stage stage;
	int error;            /* negative errno; 1 for a seccomp filter that is there */
	uint64_t netns_inode; /* that was looked for */
	/* 0: it was not asked. A negative errno: it was, too, and did not answer. 1: all this is
	 * what it said. */
	int registrar;
	uid_t uid; /* this process, as the registrar that said so sees it */
};

/** The errno of a call that fails for it: ENOENT when something has to be set up first, EACCES. */
int failure_errno(const struct failure *f);

/** Says it, once for each reason and label. @consequence: what follows, "" for nothing. errno
 * survives. */
void failure_report(const struct failure *f, const struct config *config, const char *label,
		    const struct isomer_socket *s, const char *consequence);

/** The same for a datagram that is not sent, as it would not leave from where it was asked for. */
void failure_report_answer(const struct failure *f, const struct config *config, const char *label,
			   const struct isomer_socket *s);
