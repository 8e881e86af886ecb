/* SPDX-License-Identifier: BSD-3-Clause */
/* A library in front of libc whose NO_MEMORY_AT-th allocation fails, and those around it do not.
 * Says on descriptor 3 that it has come to that.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

/* libc's own, by the names that it has for libraries of this kind; and those of a sanitizer's
 * runtime, where there is one: it is to see what is lost on the way out. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__interceptor_malloc(size_t size) __attribute__((weak));
void *__interceptor_calloc(size_t n, size_t size) __attribute__((weak));
void *__interceptor_realloc(void *p, size_t size) __attribute__((weak));

static void *real_malloc(size_t size)
{
	return __interceptor_malloc ? __interceptor_malloc(size) : __libc_malloc(size);
}

static void *real_calloc(size_t n, size_t size)
{
	return __interceptor_calloc ? __interceptor_calloc(n, size) : __libc_calloc(n, size);
}

static void *real_realloc(void *p, size_t size)
{
	return __interceptor_realloc ? __interceptor_realloc(p, size) : __libc_realloc(p, size);
}

/* Of a variable; 0 without it, and before there is an environment, as under a sanitizer's runtime
 * while it starts. Nor may that be asked for its strtol() yet. */
static long number_of(const char *variable)
{
	const char *digit = getenv(variable);
	long n = 0;

	for (; digit && *digit; digit++)
		n = 10 * n + *digit - '0';
	return n;
}

static int fails(void)
{
	static _Atomic long allocations;
	static long at;

	if (at == 0)
		at = number_of("NO_MEMORY_AT");
	if (at == 0 || ++allocations != at)
		return 0;
	if (write(3, "x", 1) < 0)
		_exit(127);
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t size)
{
	return fails() ? NULL : real_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : real_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return fails() ? NULL : real_realloc(p, size);
}

void *reallocarray(void *p, size_t n, size_t size)
{
	if (fails() || __builtin_mul_overflow(n, size, &size)) {
		errno = ENOMEM;
		return NULL;
	}
	return real_realloc(p, size);
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
