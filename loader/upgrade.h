/* SPDX-License-Identifier: BSD-3-Clause */
/* Replacing the program of a dispatcher while traffic flows.
 *
 * What is new is pinned in upgrading/ first, the program before everything else. Then the link is
 * given the new program: from that packet on it works. Then the pins are renamed into place, the
 * program's last. By the link, whoever finds upgrading/ can tell on which side of that step an
 * upgrade was killed.
 */
#pragma once

#include "loader/dispatcher.h"

#define UPGRADE_DIR "upgrading"

/**
 * Puts this loader's program in the place of the one that is attached; bindings, sockets and
 * counters stay. @max_destinations: room for that many, not fewer than before; 0: as before. Needs
 * a dispatcher opened for writing, which has to be closed afterwards: its descriptors may be those
 * of former maps. @ret_program: kernel's id of the new program.
 *
 * Returns 0, -EINVAL for fewer destinations than before, or another negative errno with the former
 * program still attached.
 */
int upgrade_run(const struct dispatcher *d, uint32_t max_destinations, uint32_t *ret_program);

/** Finishes or undoes an upgrade that was killed in the state folder @folder. The caller holds the
 * writers' lock. Returns 0 or -errno. */
int upgrade_repair(const char *folder);
