/* SPDX-License-Identifier: BSD-3-Clause */
/* A library in front of libc whose NO_MEMORY_AT-th allocation fails, and those around it do not.
 * Says on descriptor 3 that it has come to that.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

/* libc's own, by the names that it has for libraries of this kind. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static int fails(void)
{
	static _Atomic long allocations;
	static long at;
	const char *text;

	if (at == 0) {
		text = getenv("NO_MEMORY_AT");
		at = text ? strtol(text, NULL, 10) : -1;
	}
	if (++allocations != at)
		return 0;
	if (write(3, "x", 1) < 0)
		_exit(127);
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return fails() ? NULL : __libc_realloc(p, size);
}

void *reallocarray(void *p, size_t n, size_t size)
{
	if (fails() || __builtin_mul_overflow(n, size, &size)) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_realloc(p, size);
}

/* libc 2.36 ends the program, or crashes, when an allocation in its look-up of users and groups
 * fails. With these there is nothing to look up: nobody has a name. */
struct passwd *getpwuid(uid_t uid)
{
	(void)uid;
	return NULL;
}

struct passwd *getpwnam(const char *name)
{
	(void)name;
	return NULL;
}

struct group *getgrgid(gid_t gid)
{
	(void)gid;
	return NULL;
}

struct group *getgrnam(const char *name)
{
	(void)name;
	return NULL;
}
