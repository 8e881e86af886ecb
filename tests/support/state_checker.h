/* SPDX-License-Identifier: BSD-3-Clause */
/* Is the pinned state whole, and is it what it was? */
#pragma once

#include <stdint.h>

#include <isomer/abi.h>

#include "support/netns.h"

/** What state_check() counted. */
struct state_summary {
	uint32_t labels, bindings, attachments;
	uint32_t max_destinations;
};

/**
 * Fails the test unless the state of the test's namespace is whole: layout, owners and modes; the
 * program attached here; label folders, `destinations`, `sockets` and the bindings in force agree;
 * one index and one list; nothing left half done.
 */
struct state_summary state_check(const struct netns_fixture *ns);

/** The same of the state in @folder, of the namespace with @netns_inode. */
struct state_summary state_check_folder(const char *folder, uint64_t netns_inode);

/**
 * Everything below @path, a BPF filesystem or a folder of one, as text: names, owners and modes,
 * ids of all objects, contents of all maps. The caller's to free.
 */
char *state_dump(const char *path);

/** Fails the test, with the first line that differs, unless the dump of @path is @before. */
void state_is_still(const char *path, const char *before);

/** Kernel's id of the map pinned as @name, such as "labels/foo/ipv4-tcp", in the test's state. */
uint32_t state_map_id(const struct netns_fixture *ns, const char *name);

/** Calls @visit with the path of everything below @folder, folders before what is in them. */
void state_walk(const char *folder, void (*visit)(const char *path, void *arg), void *arg);
