/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/library.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state/cleanup.h"

/* What the dynamic linker takes for the end of a path. */
#define SEPARATORS ": "

/* @relative: to the folder of this program. */
static int look(const char *relative, char ret[PATH_MAX])
{
	char path[2 * PATH_MAX], program[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);

	if (n < 0)
		return -errno;
	program[n] = '\0';
	slash = strrchr(program, '/');
	if (!slash)
		return -ENOENT;
	*slash = '\0';
	if (snprintf(path, sizeof(path), "%s/%s", program, relative) >= PATH_MAX)
		return -ENAMETOOLONG;
	if (!realpath(path, ret)) {
		memcpy(ret, path, strlen(path) + 1);
		return -errno;
	}
	if (access(ret, R_OK) < 0)
		return -errno;
	return ret[strcspn(ret, SEPARATORS)] ? -EINVAL : 0;
}

int library_find(char ret[PATH_MAX])
{
	int r = look("../preload/" LIBRARY_NAME, ret);

	return r == -ENOENT ? look(ISOMER_LIBRARY_FROM_PROGRAM "/" LIBRARY_NAME, ret) : r;
}

static bool is_in(const char *list, const char *path)
{
	size_t len;

	for (; *list; list += len) {
		list += strspn(list, SEPARATORS);
		len = strcspn(list, SEPARATORS);
		if (len == strlen(path) && !strncmp(list, path, len))
			return true;
	}
	return false;
}

int library_preload(const char *path)
{
	const char *before = getenv("LD_PRELOAD");
	CLEANUP_FREE char *after = NULL;

	if (!before || !*before)
		return setenv("LD_PRELOAD", path, 1) < 0 ? -errno : 0;
	if (is_in(before, path))
		return 0;
	if (asprintf(&after, "%s:%s", before, path) < 0) {
		after = NULL;
		return -ENOMEM;
	}
	return setenv("LD_PRELOAD", after, 1) < 0 ? -errno : 0;
}
