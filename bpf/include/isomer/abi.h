/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* What the BPF program, the loader and the preload library share: names, limits and layouts of
 * the pinned state.
 *
 * A change of a size, an offset or a meaning means raising ISOMER_SCHEMA: nobody touches state of
 * another schema. Kernel types only, so that the BPF program can include it.
 */
#pragma once

#include <linux/types.h>

#define ISOMER_MAGIC  0x6f736900 /* "\0iso" in memory order */
#define ISOMER_SCHEMA 1

/* Limits. */
#define ISOMER_LABEL_MAX            255     /* bytes, without the terminating NUL */
#define ISOMER_SLOTS                16      /* 0 is current, 1 to 15 are standby */
#define ISOMER_BINDINGS_MAX         1000000 /* operator's bindings in one ruleset */
#define ISOMER_DESTINATIONS_DEFAULT 8192
#define ISOMER_DESTINATIONS_MAX     1048576
#define ISOMER_VERSION_SIZE         32

/* Names of the pins in <bpffs>/<netns inode>_dispatcher/, and of the maps. The kernel keeps 15
 * characters of a map's name, and its file system refuses dots. */
#define ISOMER_FOLDER_SUFFIX    "_dispatcher"
#define ISOMER_PIN_INFO         "info"
#define ISOMER_PIN_PROGRAM      "dispatcher"
#define ISOMER_PIN_LINK         "link"
#define ISOMER_PIN_RULESET      "ruleset"
#define ISOMER_PIN_DESTINATIONS "destinations"
#define ISOMER_PIN_SOCKETS      "sockets"
#define ISOMER_PIN_METRICS      "metrics"
#define ISOMER_DIR_LABELS       "labels"
#define ISOMER_DIR_LOCK         "lock"
#define ISOMER_PREFIX_RULES     "rules-" /* followed by the kernel's id of the map, decimal */
#define ISOMER_PREFIX_LIST      "list-"

/** The one entry of `info`. Written once by `load`, readable by everybody. */
struct isomer_info {
	__u32 magic;
	__u32 schema;
	__u64 netns_cookie; /* SO_NETNS_COOKIE of the namespace; 0 before Linux 5.14 */
	__u64 netns_inode;  /* inode of the namespace, comes back after its end: see the link */
	__u32 max_destinations;
	__u32 reserved;
	char version[ISOMER_VERSION_SIZE]; /* of the loader, NUL-padded */
};

/** Key of `destinations`. */
struct isomer_destination_key {
	char label[ISOMER_LABEL_MAX + 1]; /* NUL-padded */
	__u8 domain;                      /* AF_INET or AF_INET6 */
	__u8 protocol;                    /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 reserved[2];
};

/** Value of `destinations`. */
struct isomer_destination {
	__u32 id; /* index into `sockets` and `metrics` */
};

/* Why a lookup that matched a binding did not go as its destination wanted. */
enum isomer_error {
	ISOMER_ERROR_BAD_SOCKET,    /* a registered socket could not be assigned and was skipped */
	ISOMER_ERROR_OTHER_PROGRAM, /* another program had chosen a socket: left alone */
	ISOMER_ERRORS,
};

/** Value of `metrics`, one for each CPU. Written by the BPF program alone. */
struct isomer_metrics {
	__u64 lookups;               /* packets that matched a binding of this destination */
	__u64 misses;                /* of these: no live socket in any slot */
	__u64 errors[ISOMER_ERRORS]; /* of these: see above */
};

/**
 * A binding as the operator gave it: entry of a `list-<id>`.
 *
 * Addresses are in network order, an IPv4 address in the first four bytes, bits behind the prefix
 * are 0. Ports are in host order like bpf_sk_lookup.local_port; 0-65535 means all ports.
 */
struct isomer_binding {
	__u8 domain;    /* AF_INET or AF_INET6: the two never share a table */
	__u8 protocol;  /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 prefixlen; /* bits of @addr that count */
	__u8 miss;      /* enum isomer_miss */
	__u16 port_first;
	__u16 port_last;
	__u8 addr[16];
	__u32 destination;
	__u32 reserved;
};

enum isomer_miss {
	ISOMER_MISS_DROP, /* no socket: refuse */
	ISOMER_MISS_PASS, /* no socket: ordinary lookup */
};

/*
 * The index: what the BPF program searches. `rules-<id>` is an array of blocks.
 *
 * Block 0 is the header. All others are nodes of search trees, or lists of trees. A tree cuts a
 * space of keys into segments; a segment is told by its last key, and carries a value. A node
 * holds separators in ascending order; a key belongs behind every separator that it is greater
 * than, so unused separators are all ones and nothing needs a count.
 *
 *   narrow tree (keys of 32 bits: ports and IPv4 addresses)
 *     inner  words 0-30 separators, word 31 first child; 32 children in consecutive blocks
 *     leaf   words 0-14 separators, words 16-31 values
 *   wide tree (keys of 128 bits: IPv6 addresses, as four words, the highest first)
 *     inner  words 0-27 seven separators, word 28 first child; 8 children
 *     leaf   words 0-23 six separators, words 24-30 values
 *
 * A tree reference says where the root is and how many levels of inner nodes stand above the
 * leaves. The ports of a family (keys: ISOMER_PORT_KEY), a few segments in the header or a tree,
 * lead to the address trees of a port: to none (0), to one tree reference, or, with
 * ISOMER_TREES_LIST, to the word at which a list of tree references begins; ISOMER_TREE_LAST ends
 * it, and a list never crosses a block's end. The longest prefix of all the trees wins; the earlier
 * tree wins a tie.
 *
 * The values of address trees are verdicts; 0 is none.
 */
#define ISOMER_BLOCK_WORDS 32
struct isomer_block {
	__u32 word[ISOMER_BLOCK_WORDS];
};

#define ISOMER_NARROW_INNER       31 /* separators */
#define ISOMER_NARROW_FIRST_CHILD 31 /* word */
#define ISOMER_NARROW_LEAF        15 /* separators */
#define ISOMER_NARROW_VALUES      16 /* word of the first value */
#define ISOMER_WIDE_INNER         7
#define ISOMER_WIDE_FIRST_CHILD   28
#define ISOMER_WIDE_LEAF          6
#define ISOMER_WIDE_VALUES        24

#define ISOMER_LEVELS_MAX 7  /* inner levels of a tree */
#define ISOMER_TREES_MAX  18 /* trees that one port may lead to */

#define ISOMER_TREE_ROOT(ref)         ((ref)&0x07ffffff)
#define ISOMER_TREE_LEVELS(ref)       ((ref) >> 27 & 0x7)
#define ISOMER_TREE_LAST              0x40000000
#define ISOMER_TREES_LIST             0x80000000
#define ISOMER_TREE_REF(root, levels) ((__u32)(root) | (__u32)(levels) << 27)

/* TCP ports, then UDP ports. */
#define ISOMER_PORT_KEY(is_udp, port) ((__u32)(is_udp) << 16 | (port))

#define ISOMER_VERDICT(id, pass, prefixlen)                                                        \
	((__u32)(id) | (__u32)(pass) << 23 | ((__u32)(prefixlen) + 1) << 24)
#define ISOMER_VERDICT_ID(verdict)   ((verdict)&0x007fffff)
#define ISOMER_VERDICT_PASS(verdict) ((verdict) >> 23 & 1)
#define ISOMER_VERDICT_RANK(verdict) ((verdict) >> 24) /* prefix length + 1; 0: no match */

/* Segments of ports that the header holds by itself: enough for two ports and all ports, or for the
 * same port of both protocols. */
#define ISOMER_HEADER_SEGMENTS 6

/** The ports of a family. */
struct isomer_index_ports {
	__u32 tree;                             /* reference of the port tree; 0: there is none, */
	__u32 last[ISOMER_HEADER_SEGMENTS - 1]; /* these are separators, as in a leaf, */
	__u32 trees[ISOMER_HEADER_SEGMENTS];    /* and these the values */
};

/** Block 0 of an index. */
struct isomer_index_header {
	__u32 magic;
	__u32 schema;
	__u32 list;     /* kernel's id of the list that this index was made from */
	__u32 bindings; /* entries of that list that count */
	__u32 blocks;   /* size of the index */
	struct isomer_index_ports ports[2]; /* IPv4, IPv6 */
	/* At the end, so that `trees` may be read at any place of three bits. */
	__u32 reserved[3];
};

_Static_assert(sizeof(struct isomer_info) == 64, "layout of info");
_Static_assert(sizeof(struct isomer_destination_key) == 260, "layout of destinations");
_Static_assert(sizeof(struct isomer_metrics) == 32, "layout of metrics");
_Static_assert(sizeof(struct isomer_binding) == 32, "layout of lists");
_Static_assert(sizeof(struct isomer_block) == 128, "layout of an index");
_Static_assert(sizeof(struct isomer_index_header) == sizeof(struct isomer_block), "header block");
_Static_assert(ISOMER_DESTINATIONS_MAX <= 1 << 23, "a verdict holds every id");
