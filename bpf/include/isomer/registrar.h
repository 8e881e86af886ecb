/* SPDX-License-Identifier: BSD-3-Clause */
/* What the preload library and `isomer-loader registrar` say to each other.
 *
 * A Unix socket, SOCK_SEQPACKET, one request a connection: the client sends one packet, a struct
 * isomer_registrar_request with one descriptor by SCM_RIGHTS, and gets one packet back, a struct
 * isomer_registrar_reply. The registrar judges by the credentials that the client had in
 * connect(), and by the network namespace of the socket that it sends. A request is about one
 * destination: a dual-stack socket takes one for IPv4 and one for IPv6.
 *
 * A change of a size, an offset or a meaning means raising ISOMER_REGISTRAR_VERSION. A registrar
 * that is sent anything else answers -EPROTO, with its own version.
 */
#pragma once

#include <linux/types.h>

#include <isomer/abi.h>

#define ISOMER_REGISTRAR_PATH    "/run/isomer/registrar.sock"
#define ISOMER_REGISTRAR_MAGIC   0x6f736972 /* "riso" in memory order */
#define ISOMER_REGISTRAR_VERSION 1

enum isomer_registrar_type {
	/* May the client register sockets there, and which sit there? Sent with any socket of the
	 * namespace, whatever its state. */
	ISOMER_REGISTRAR_CHECK = 1,
	/* Put the socket into the slots. */
	ISOMER_REGISTRAR_REGISTER,
	/* Make a UDP socket bound to @addr and @port of the request, for answers of the socket that
	 * was sent: that one sits in the slots, and the bindings in force lead this very address
	 * and port to them. The reply brings it by SCM_RIGHTS: close-on-exec, unconnected, and deaf
	 * (what it receives is dropped, and the client cannot change that). */
	ISOMER_REGISTRAR_REPLY_SOCKET,
};

struct isomer_registrar_request {
	__u32 magic;
	__u16 version;
	__u16 type;
	__u8 domain;   /* AF_INET or AF_INET6 */
	__u8 protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 standby;  /* REGISTER: 1 for a standby only, as ISOMER_PLACE_STANDBY; else 0 */
	__u8 reserved;
	__u16 port; /* REPLY_SOCKET: host order; else 0 */
	__u16 reserved2;
	__u8 addr[16]; /* REPLY_SOCKET: network order, IPv4 in the first four bytes; else 0 */
	char label[ISOMER_LABEL_MAX + 1]; /* NUL-padded */
};

/* Where a request failed. */
enum isomer_registrar_stage {
	ISOMER_REGISTRAR_DONE,
	ISOMER_REGISTRAR_REQUEST, /* malformed, or there are too many of this user: -EBUSY */
	ISOMER_REGISTRAR_SOCKET,  /* the socket is none that can be registered there */
	ISOMER_REGISTRAR_STATE,   /* its network namespace has no dispatcher, or not a good one */
	ISOMER_REGISTRAR_LABEL, /* no right to the label. -ENOENT, there is none, for root alone */
	ISOMER_REGISTRAR_SLOTS, /* it was not taken, or could not be */
	ISOMER_REGISTRAR_BINDING, /* REPLY_SOCKET: the address and port are not this destination's
				   */
	ISOMER_REGISTRAR_ADDRESS, /* REPLY_SOCKET: it could not be bound */
};

struct isomer_registrar_reply {
	__u32 magic;
	__u16 version;
	__u16 stage;       /* enum isomer_registrar_stage */
	__s32 error;       /* 0, or a negative errno */
	__u32 uid;         /* of the client, as the registrar sees it */
	__u64 netns_inode; /* of the socket's namespace; 0 while it was not known */
	__s32 slot;        /* REGISTER: as isomer_slots_put() has it */
	__u32 reserved;
	__u64 slots[ISOMER_SLOTS]; /* CHECK: cookies of the sockets in them, 0 where there is none
				    */
};

_Static_assert(sizeof(struct isomer_registrar_request) == 288, "layout of requests");
_Static_assert(sizeof(struct isomer_registrar_reply) == 160, "layout of replies");
