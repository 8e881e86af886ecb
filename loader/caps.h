/* SPDX-License-Identifier: BSD-3-Clause */
/* Capabilities: a command keeps what it names and drops the rest before it starts. */
#pragma once

#include <stdint.h>
#include <sys/capability.h>

#define CAPS(cap) (UINT64_C(1) << (cap))

/* What every command that reads the state may need: bpf() where it is kept from users without it
 * (before 5.19, for programs always), and slot maps whose grantee shut others out. */
#define CAPS_READ (CAPS(CAP_BPF) | CAPS(CAP_DAC_READ_SEARCH))

/* What every command that changes it needs: to make maps and slot maps, to have them charged
 * (before 5.11), to give pins to the group of the state, to write slot maps that were granted
 * away, and to load programs, which the verifier refuses without CAP_PERFMON: also those that a
 * killed upgrade left to be loaded. */
#define CAPS_CHANGE                                                                                \
	(CAPS(CAP_BPF) | CAPS(CAP_PERFMON) | CAPS(CAP_NET_ADMIN) | CAPS(CAP_SYS_RESOURCE) |        \
	 CAPS(CAP_CHOWN) | CAPS(CAP_DAC_OVERRIDE))

/* To find out whose sockets those of other users are. */
#define CAPS_OWNERS (CAPS(CAP_SYS_PTRACE) | CAPS(CAP_DAC_READ_SEARCH))

/**
 * Drops from the permitted, effective and inheritable sets every capability that is not in @keep,
 * a set of CAPS(CAP_…). What the process never had is not added. Returns 0 or -errno.
 */
int caps_limit(uint64_t keep);

#define CAPS_TEXT_SIZE 512

/** Names those of @wanted that the process does not have, separated by spaces: "" if it has all. */
void caps_missing(uint64_t wanted, char ret[CAPS_TEXT_SIZE]);
