/* SPDX-License-Identifier: BSD-3-Clause */
#include "integration/no_memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "support/environment.h"

void no_memory_at(unsigned int n, struct no_memory *ret)
{
	const char *runtime = environment_sanitizer();

	*ret = (struct no_memory){ .note = memfd_create("note", MFD_CLOEXEC) };
	assert_return_code(ret->note, errno);
	snprintf(ret->at, sizeof(ret->at), "NO_MEMORY_AT=%u", n);
	/* In front of a sanitizer's runtime, which then counts what is not freed. */
	snprintf(ret->preload, sizeof(ret->preload), "LD_PRELOAD=%s%s%s",
		 guest_path("no_memory.so"), runtime ? ":" : "", runtime ? runtime : "");
	ret->env[0] = ret->at;
	ret->env[1] = ret->preload;
	if (runtime) {
		ret->env[2] = "ASAN_OPTIONS=verify_asan_link_order=0";
		ret->env[3] = "LSAN_OPTIONS=detect_leaks=1";
	}
}

bool no_memory_came(const struct no_memory *m)
{
	struct stat sb;

	assert_return_code(fstat(m->note, &sb), errno);
	return sb.st_size > 0;
}

void no_memory_done(struct no_memory *m)
{
	close(m->note);
}
