/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* Layouts of the maps of an attachment: the program that `isomer-loader attach` puts on a cgroup,
 * and that registers the TCP listeners of every process in it. The loader and that program alone
 * know them. Kernel types only.
 */
#pragma once

#include <linux/types.h>

#define ISOMER_ATTACHMENT_RULES 257         /* those of --rules, and one for --label */
#define ISOMER_ATTACHMENT_NEVER 0xffffffffU /* in place of a destination: do not register */
#define ISOMER_ATTACHMENT_PATH  512         /* of the cgroup, with the terminating NUL */

/** Which listeners go to which destination; of several rules the first that matches counts. */
struct isomer_attachment_rule {
	__u32 domain;     /* AF_INET or AF_INET6; 0: both, @addr does not count */
	__u16 port_first; /* host order */
	__u16 port_last;
	__u32 addr[4]; /* network order, IPv4 in the first word; bits outside @mask are 0 */
	__u32 mask[4];
	__u32 destination[2]; /* for IPv4, for IPv6 */
	__u32 by_label;       /* 1: takes the first address and port alone that come */
	__u32 reserved;
};

enum isomer_attachment_count {
	ISOMER_ATTACHMENT_REGISTERED,
	ISOMER_ATTACHMENT_OTHER_NETNS, /* left alone: of another network namespace */
	ISOMER_ATTACHMENT_AMBIGUOUS,   /* left alone: the label has another address or port */
	ISOMER_ATTACHMENT_FAILED,      /* the kernel did not take it: MPTCP */
	ISOMER_ATTACHMENT_COUNTS,
};

/** The one entry of `state`. Written by the loader once, then by the program. */
struct isomer_attachment {
	__u64 netns_cookie; /* sockets of other namespaces are left alone; 0: not checked */
	__u32 rules;        /* how many there are */
	/* What a rule by label has taken; @port 0: nothing yet. */
	__u16 port;
	__u8 has_addr[2]; /* for IPv4, for IPv6 */
	__u32 addr[2][4];
	__u64 counts[ISOMER_ATTACHMENT_COUNTS];
	char cgroup[ISOMER_ATTACHMENT_PATH];
};

_Static_assert(sizeof(struct isomer_attachment_rule) == 56, "layout of rules");
_Static_assert(sizeof(struct isomer_attachment) == 80 + ISOMER_ATTACHMENT_PATH, "layout of state");
