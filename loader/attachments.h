/* SPDX-License-Identifier: BSD-3-Clause */
/* The attachments of a dispatcher.
 *
 * Each is a folder attachments/<id of the cgroup>/ of the state, with the pins of the program, of
 * its maps, and last of the link: without that it counts for nothing. The kernel detaches the
 * program when the cgroup is removed; the next writer removes what is left then. An attachment is a
 * use of the labels that its rules name.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include <isomer/attachment.h>

#include "loader/dispatcher.h"

enum attachment_pin {
	ATTACHMENT_RULES,
	ATTACHMENT_STATE,
	ATTACHMENT_HOLDER,
	ATTACHMENT_PROGRAM,
	/* Links of answers.h, where it has UDP sockets. */
	ATTACHMENT_NOTE,
	ATTACHMENT_ANSWER4,
	ATTACHMENT_ANSWER6,
	ATTACHMENT_LINK,
	ATTACHMENT_PINS,
};

/** Makes the attachment's folder. Returns 0, -EEXIST when it is there, or another negative errno.
 */
int attachment_folder_make(const struct dispatcher *d, uint64_t cgroup, char ret[PATH_MAX]);

/** Pins @fd in @folder, instead of what is there, as everything else that the state's group may
 * read. Returns 0 or -errno. */
int attachment_pin(const struct dispatcher *d, const char *folder, enum attachment_pin pin, int fd);

/** Detaches and removes the attachment of the cgroup. Returns 0, -ENOENT when there is none, or
 * another negative errno. */
int attachment_remove(const struct dispatcher *d, uint64_t cgroup);

/** Removes attachments whose cgroup is gone and what killed writers left, and makes others follow
 * the maps of the dispatcher after an upgrade. */
int attachments_repair(const struct dispatcher *d);

/** Gives every attachment the program of this version and the dispatcher's present maps. */
int attachments_renew(const struct dispatcher *d);

/** Sets @used, of @n ids, for all destinations that rules of attachments name. */
int attachments_mark(const struct dispatcher *d, bool *used, uint32_t n);

/** Calls @visit with the state of each attachment, a cgroup that was removed included. A folder
 * that the caller may not read counts as empty. Returns 0 or -errno. */
int attachments_visit(const struct dispatcher *d,
		      void (*visit)(const struct isomer_attachment *a, bool dead, void *arg),
		      void *arg);
