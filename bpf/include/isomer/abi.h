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
#define ISOMER_PIN_PAGES        "pages"
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
 * The index: what the BPF program searches, blocks in pages. `rules-<id>` is the first page; an
 * index of more has all of them, the first too, in an entry of `pages`.
 *
 * Block 0 is the header. All others are nodes of search trees, tables, tests, or lists of trees. A
 * tree cuts the numbers of 32 bits into segments; a segment is told by its last number, and carries
 * a value. A node holds separators in ascending order; a number belongs behind every separator that
 * it is greater than, so unused separators are all ones and nothing needs a count.
 *
 *   inner  a block: words 0-30 separators, word 31 first child; 32 children one after the other
 *   leaf   a line, half a block: words 0-6 separators, words 8-15 values
 *
 * A value is a verdict, of which 0 is none, or refers to what decides next:
 *   a tree over a word of the address, word 0 is the highest and all of an IPv4 address; with the
 *   number of levels of inner nodes that stand above its leaves;
 *   a table over such a word: some of its bits tell which of many values;
 *   a prefix test, which has one value for the addresses of a prefix and one for all others;
 *   likewise a tree over ports, or up to ISOMER_PORT_CHAIN_MAX port tests one after the other.
 * They come in this order, and any of them may be left out: a test, a table and a tree over word 0;
 * for IPv6 the same with the words 1 to 3, and one more test; what looks at the port.
 *
 * The ports of a family (keys: ISOMER_PORT_KEY), a few segments in the header or a tree, lead to
 * nothing (0), to one reference of this kind, or to a list of them: a word with their number, and
 * these words behind it, in the same block. Those of a list look at no port; the longest prefix
 * that they find wins, the earlier one wins a tie.
 */
#define ISOMER_BLOCK_WORDS 32
struct isomer_block {
	__u32 word[ISOMER_BLOCK_WORDS];
} __attribute__((aligned(8))); /* for the tests */

/* A line of most caches. */
#define ISOMER_LINE_WORDS (ISOMER_BLOCK_WORDS / 2)
struct isomer_line {
	__u32 word[ISOMER_LINE_WORDS];
};

/* What the program looks up at once. The kernel reads a map of constant size in place, so the first
 * page costs nothing; in one whose size is the index's it calls a function for each look-up, which
 * costs more than the search in a node. So a small index has the first page alone. Tests have
 * smaller ones. */
#ifndef ISOMER_PAGE_BLOCKS
#define ISOMER_PAGE_BLOCKS 512 /* a power of two */
#endif
struct isomer_page {
	struct isomer_block block[ISOMER_PAGE_BLOCKS];
};

#define ISOMER_INNER       31 /* separators */
#define ISOMER_FIRST_CHILD 31 /* word */
#define ISOMER_LEAF        7  /* separators */
#define ISOMER_VALUES      8  /* word of the first value */
#define ISOMER_LEVELS_MAX  4  /* of inner nodes */

/** Is an address in a prefix? Addresses are numbers of 128 bits, the high half and the low one; an
 * IPv4 address is in the highest 32. */
struct isomer_prefix_test {
	__u64 hi, lo;
	__u32 in, out;           /* values */
	__u8 shift_hi, shift_lo; /* out of a half go the bits that do not count, */
	__u8 shift_lo_again;     /* all 64 in two steps */
	__u8 reserved[5];
};
#define ISOMER_PREFIX_TESTS 4 /* in a block */

/** Is a port in a range? */
struct isomer_port_test {
	__u16 first, last;
	__u32 in, out; /* values */
	__u32 reserved;
};
#define ISOMER_PORT_TESTS     8 /* in a block */
#define ISOMER_PORT_CHAIN_MAX 7

/* Entries of `pages`: of the index in force, and for the next one. */
#define ISOMER_PLACES 2

/* What a value refers to: the highest five bits. No verdict reaches so far. */
enum isomer_kind {
	ISOMER_KIND_LIST = 17,
	ISOMER_KIND_TABLE = 20, /* and the next three, by word */
	ISOMER_KIND_WORD = 24,  /* and the next three */
	ISOMER_KIND_PREFIX_TEST = 28,
	ISOMER_KIND_PORT,
	ISOMER_KIND_PORT_TEST,
};

/* @n: which test of a block, or levels of a tree, whose root is a block if there are any, and else
 * a leaf: a line. */
#define ISOMER_REF(kind, n, at) ((__u32)(kind) << 27 | (__u32)(n) << 24 | (__u32)(at))
#define ISOMER_REF_KIND(ref)    ((ref) >> 27)
#define ISOMER_REF_N(ref)       ((ref) >> 24 & 0x7)
#define ISOMER_REF_AT(ref)      ((ref)&0x00ffffff)

/* A table over @word: behind its @fixed first bits, the next @bits are the number of a value, in
 * the blocks from @block on, a multiple of the alignment. */
#define ISOMER_TABLE(word, fixed, bits, block)                                                     \
	((__u32)(ISOMER_KIND_TABLE + (word)) << 27 | (__u32)(fixed) << 22 |                        \
	 ((__u32)(bits)-ISOMER_TABLE_BITS_MIN) / 2 << 19 |                                         \
	 (__u32)(block) / ISOMER_TABLE_ALIGNMENT(bits))
#define ISOMER_TABLE_BITS_MIN        5       /* a block */
#define ISOMER_TABLE_BITS_MAX        19      /* in steps of 2 */
#define ISOMER_TABLE_BLOCKS_MAX      0x80000 /* of an index, for the smallest to be in it anywhere */
#define ISOMER_TABLE_ALIGNMENT(bits) (1u << ((bits)-ISOMER_TABLE_BITS_MIN) / 2) /* blocks */
#define ISOMER_TABLE_FIXED(ref)      ((ref) >> 22 & 0x1f)
#define ISOMER_TABLE_SIZE(ref)       ((ref) >> 19 & 0x7)
#define ISOMER_TABLE_BITS(ref)       (ISOMER_TABLE_SIZE(ref) * 2 + ISOMER_TABLE_BITS_MIN)
#define ISOMER_TABLE_BLOCK(ref)      (((ref)&0x7ffff) << ISOMER_TABLE_SIZE(ref))

/* Of an index: so far every kind of reference reaches, 512 MiB. */
#define ISOMER_BLOCKS_MAX (1 << 22)

/* A list that begins at @word of the index. */
#define ISOMER_LIST(word)     ((__u32)ISOMER_KIND_LIST << 27 | (__u32)(word))
#define ISOMER_LIST_WORD(ref) ((ref)&0x07ffffff)
#define ISOMER_TREES_MAX      18 /* references in a list */

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
	__u32 blocks;   /* size of the index; behind them are zeros to the end of a page */
	__u32 place; /* entry of `pages` that has its pages; ISOMER_PLACES: this is the only one */
	struct isomer_index_ports ports[2]; /* IPv4, IPv6 */
	/* At the end, so that `trees` may be read at any place of three bits. */
	__u32 reserved[2];
};

_Static_assert(sizeof(struct isomer_info) == 64, "layout of info");
_Static_assert(sizeof(struct isomer_destination_key) == 260, "layout of destinations");
_Static_assert(sizeof(struct isomer_metrics) == 32, "layout of metrics");
_Static_assert(sizeof(struct isomer_binding) == 32, "layout of lists");
_Static_assert(sizeof(struct isomer_block) == 128, "layout of an index");
_Static_assert(sizeof(struct isomer_line) == 64, "lines");
_Static_assert(sizeof(struct isomer_prefix_test) * ISOMER_PREFIX_TESTS == 128, "prefix tests");
_Static_assert(sizeof(struct isomer_port_test) * ISOMER_PORT_TESTS == 128, "port tests");
_Static_assert(sizeof(struct isomer_index_header) == sizeof(struct isomer_block), "header block");
_Static_assert(ISOMER_DESTINATIONS_MAX <= 1 << 23, "a verdict holds every id");
