/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the benchmark and its guest: which call is to be measured, and what that took. */
#pragma once

#include <stdint.h>

/* The descriptor that the guest finds the benchmark behind: a socket that keeps messages apart. */
#define CALLS_FD 3

/* Ports of 127.0.0.1. The guest's rules name all but what the kernel chooses. */
#define CALLS_TCP_PORT  8080
#define CALLS_KEPT_PORT 8081 /* all guests have a listener there */
#define CALLS_UDP_PORT  5353
#define CALLS_HELD_PORT 5454 /* that a guest with a registered UDP socket has all the time */

enum call {
	/* They concern the library. */
	CALL_LISTEN_REGISTERS,
	CALL_LISTEN_AGAIN,
	CALL_BIND_UDP_REGISTERS,
	/* They do not. */
	CALL_LISTEN_OTHER,
	CALL_LISTEN_UNIX,
	CALL_BIND_TCP,
	CALL_BIND_UDP_ANY,
	CALL_READ_WRITE,
	CALL_READV_WRITEV,
	CALL_RECV_SEND,
	CALL_RECVFROM_SENDTO,
	CALL_RECVMSG_SENDMSG,
	CALL_RECVMMSG_SENDMMSG,
	CALL_SOCKOPT,
	CALLS
};

struct calls_request {
	uint32_t call, times;
};

struct calls_answer {
	double nanoseconds; /* of one call */
};
