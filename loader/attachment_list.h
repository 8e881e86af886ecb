/* SPDX-License-Identifier: BSD-3-Clause */
/* Attachments as `status` shows them. */
#pragma once

#include "loader/attachments.h"
#include "loader/json.h"

struct attachment_view {
	struct isomer_attachment state;
	bool dead; /* its cgroup was removed */
};

struct attachment_list {
	struct attachment_view *entries;
	size_t n;
};

#define ATTACHMENT_LIST_NONE                                                                       \
	(struct attachment_list)                                                                   \
	{                                                                                          \
		.entries = NULL                                                                    \
	}

/** Reads those that the caller may read. Returns 0 or -errno. */
int attachment_list_read(const struct dispatcher *d, struct attachment_list *ret);
void attachment_list_done(struct attachment_list *list);

/** Prints "Attachments:", if there is any. */
void attachment_list_print(const struct attachment_list *list);

/** Writes the member "attachments". */
void attachment_list_json(const struct attachment_list *list, struct json *j);
