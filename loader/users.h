/* SPDX-License-Identifier: BSD-3-Clause */
/* Users and groups by name or number. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define USER_TEXT_SIZE 64

/** Name or number to number. False when there is no such user, or group. */
bool user_find(const char *text, uid_t *ret);
bool group_find(const char *text, gid_t *ret);

/** The name, or the number of one without a name. */
void user_text(uid_t uid, char ret[USER_TEXT_SIZE]);
void group_text(gid_t gid, char ret[USER_TEXT_SIZE]);
