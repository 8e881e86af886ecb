/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/users.h"

#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "state/parse.h"

/* 4294967295 means "leave as it is" to chown(2). */
#define ID_MAX (UINT32_MAX - 1)

bool user_find(const char *text, uid_t *ret)
{
	const struct passwd *pw = getpwnam(text);
	uint64_t number;

	if (pw)
		*ret = pw->pw_uid;
	else if (isomer_parse_number(text, strlen(text), ID_MAX, &number) == 0)
		*ret = (uid_t)number;
	else
		return false;
	return true;
}

bool group_find(const char *text, gid_t *ret)
{
	const struct group *gr = getgrnam(text);
	uint64_t number;

	if (gr)
		*ret = gr->gr_gid;
	else if (isomer_parse_number(text, strlen(text), ID_MAX, &number) == 0)
		*ret = (gid_t)number;
	else
		return false;
	return true;
}

void user_text(uid_t uid, char ret[USER_TEXT_SIZE])
{
	const struct passwd *pw = getpwuid(uid);

	if (pw && strlen(pw->pw_name) < USER_TEXT_SIZE)
		snprintf(ret, USER_TEXT_SIZE, "%s", pw->pw_name);
	else
		snprintf(ret, USER_TEXT_SIZE, "%u", (unsigned)uid);
}

void group_text(gid_t gid, char ret[USER_TEXT_SIZE])
{
	const struct group *gr = getgrgid(gid);

	if (gr && strlen(gr->gr_name) < USER_TEXT_SIZE)
		snprintf(ret, USER_TEXT_SIZE, "%s", gr->gr_name);
	else
		snprintf(ret, USER_TEXT_SIZE, "%u", (unsigned)gid);
}
