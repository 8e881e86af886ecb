/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "state/cleanup.h"

/* Where the search for the line stands, from one byte to the next. */
struct search {
	size_t matched; /* bytes of the line's beginning, or SIZE_MAX: this line is another one */
};

static const char wanted[] = "Seccomp:\t";

/* Takes the next byte. True when it is the first of the line's value. */
static bool search_step(struct search *s, char c)
{
	if (s->matched == sizeof(wanted) - 1)
		return true;
	if (c == '\n')
		s->matched = 0;
	else if (s->matched != SIZE_MAX && c == wanted[s->matched])
		s->matched++;
	else
		s->matched = SIZE_MAX;
	return false;
}

/* prctl(PR_GET_SECCOMP) would be shorter, but is itself not allowed by every filter. */
int seccomp_filtered(void)
{
	CLEANUP_FD int fd = -1;
	struct search search = { 0 };
	char buffer[512];
	ssize_t n;

	fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* The line stands behind the list of groups, which may be long. */
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t i = 0; i < n; i++)
			if (search_step(&search, buffer[i]))
				return buffer[i] == '0' ? 0 : 1;
	return n < 0 ? -errno : -ENODATA;
}
