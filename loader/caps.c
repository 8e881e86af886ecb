/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/caps.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>

#include "state/cleanup.h"

static void caps_freep(cap_t *caps)
{
	if (*caps)
		cap_free(*caps);
}

/* Newer kernels may have capabilities that this libcap has no name for: all that the kernel
 * knows are looked at, by number. */
static int copy_kept(cap_t from, cap_t to, uint64_t keep)
{
	for (cap_value_t cap = 0; CAP_IS_SUPPORTED(cap); cap++) {
		cap_flag_value_t permitted;

		if (cap_get_flag(from, cap, CAP_PERMITTED, &permitted) < 0)
			return -errno;
		if (permitted != CAP_SET || cap >= 64 || !(keep & CAPS(cap)))
			continue;
		if (cap_set_flag(to, CAP_PERMITTED, 1, &cap, CAP_SET) < 0 ||
		    cap_set_flag(to, CAP_EFFECTIVE, 1, &cap, CAP_SET) < 0)
			return -errno;
	}
	return 0;
}

int caps_limit(uint64_t keep)
{
	CLEANUP(caps_freep) cap_t have = cap_get_proc();
	CLEANUP(caps_freep) cap_t want = cap_init();
	int r;

	if (!have || !want)
		return -errno;
	r = copy_kept(have, want, keep);
	if (r < 0)
		return r;
	return cap_set_proc(want) < 0 ? -errno : 0;
}

void caps_missing(uint64_t wanted, char ret[CAPS_TEXT_SIZE])
{
	CLEANUP(caps_freep) cap_t have = cap_get_proc();
	size_t used = 0;

	ret[0] = '\0';
	for (cap_value_t cap = 0; have && cap < 64 && CAP_IS_SUPPORTED(cap); cap++) {
		cap_flag_value_t permitted;
		char *name;

		if (!(wanted & CAPS(cap)) ||
		    cap_get_flag(have, cap, CAP_PERMITTED, &permitted) < 0 || permitted == CAP_SET)
			continue;
		name = cap_to_name(cap);
		if (name && used + strlen(name) + 2 < CAPS_TEXT_SIZE)
			used += (size_t)snprintf(ret + used, CAPS_TEXT_SIZE - used, "%s%s",
						 used ? " " : "", name);
		cap_free(name);
	}
}
