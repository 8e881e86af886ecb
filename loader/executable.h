/* SPDX-License-Identifier: BSD-3-Clause */
/* What a program is, judged before it is started: will the dynamic linker load LD_PRELOAD into it,
 * and do its calls go through libc?
 */
#pragma once

#include <limits.h>

enum executable_kind {
	EXECUTABLE_PRELOADABLE,
	EXECUTABLE_STATIC,      /* no dynamic linker is involved */
	EXECUTABLE_GO,          /* calls the kernel past libc, also when it is dynamic */
	EXECUTABLE_OTHER_LIBC,  /* its dynamic linker is not this one's: musl */
	EXECUTABLE_OTHER_CLASS, /* of another word size or machine */
	EXECUTABLE_PRIVILEGED,  /* setuid, setgid, capabilities: LD_PRELOAD is ignored */
	EXECUTABLE_UNKNOWN,     /* neither ELF nor a script, or not readable */
};

struct executable {
	enum executable_kind kind;
	char path[PATH_MAX];   /* the file that was judged: of a script, its interpreter */
	char linker[PATH_MAX]; /* the dynamic linker that it names; "" if none */
};

/** Finds a command as execvp() does. Returns 0, -ENOENT, -EACCES when what was found may not be
 * executed, or another negative errno. */
int executable_find(const char *name, char ret[PATH_MAX]);

/** Judges the program at @path; a script is followed to its interpreter. Returns 0 or -errno. */
int executable_inspect(const char *path, struct executable *ret);

/** The reason why it cannot be preloaded, to be read behind the program's path. */
const char *executable_reason(enum executable_kind kind);
