/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/start.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "preload/direct.h"
#include "preload/guard.h"
#include "preload/inherited.h"
#include "preload/real.h"
#include "preload/register.h"
#include "preload/udp_kept.h"

#define DONE      UINT64_MAX
#define WAITS_MAX 1000 /* of a millisecond */
#define EARLY_MAX 16

/* Written by the thread that starts the library, read by others when `starter` is DONE. */
static struct config config;

/* 0: not started; DONE; else process and thread that are about it. Not pthread_once(): a fork() of
 * another thread in that moment would make the child wait for a thread that it does not have. */
static _Atomic uint64_t starter;

/* Descriptors + 1 of sockets from before there was an environment. */
static _Atomic int early[EARLY_MAX];

static void register_early(void)
{
	for (size_t i = 0; i < EARLY_MAX; i++) {
		int fd = atomic_exchange(&early[i], 0) - 1;

		if (fd >= 0)
			register_found(&config, fd);
	}
}

static void start(void)
{
	real_start();
	config_load(&config);
	if (config.active) {
		report_start(config.log);
		direct_start();
	}
	atomic_store_explicit(&starter, DONE, memory_order_release);

	if (config.active) {
		register_early();
		inherited_register(&config);
	}
}

/* Starts the library, or waits until another thread has. Bounded: better an unregistered socket
 * than a server that hangs. */
static void start_or_wait(void)
{
	const struct timespec millisecond = { .tv_nsec = 1000000 };
	uint64_t self = (uint64_t)getpid() << 32 | (uint32_t)gettid();

	for (int waits = 0; waits < WAITS_MAX;) {
		uint64_t seen = atomic_load_explicit(&starter, memory_order_acquire);

		if (seen == DONE || seen == self) /* self: in a signal handler */
			return;
		if (seen == 0 || seen >> 32 != self >> 32) { /* nobody, or one lost by fork() */
			if (atomic_compare_exchange_strong(&starter, &seen, self)) {
				start();
				return;
			}
		} else {
			nanosleep(&millisecond, NULL);
			waits++;
		}
	}
}

const struct config *start_config(void)
{
	if (atomic_load_explicit(&starter, memory_order_acquire) != DONE) {
		int saved = errno;
		GUARD();

		/* libc's own constructor sets it; .preinit_array of a program runs before. */
		if (environ)
			start_or_wait();
		errno = saved;
		if (atomic_load_explicit(&starter, memory_order_acquire) != DONE)
			return NULL;
	}
	return config.active ? &config : NULL;
}

void start_remember(int fd)
{
	if (atomic_load_explicit(&starter, memory_order_acquire) == DONE)
		return;
	for (size_t i = 0; i < EARLY_MAX; i++) {
		int seen = 0;

		if (atomic_compare_exchange_strong(&early[i], &seen, fd + 1))
			return;
	}
}

/* --- ISOMER_INHERIT=0 ------------------------------------------------------------------------ */

/* Not getenv() and unsetenv(): bash and others export functions of these names, which know nothing
 * at that time. */
static char *variable_value(const char *name)
{
	size_t len = strlen(name);

	for (char **entry = environ; *entry; entry++)
		if (!strncmp(*entry, name, len) && (*entry)[len] == '=')
			return *entry + len + 1;
	return NULL;
}

static void leave_variable(const char *name)
{
	size_t len = strlen(name);
	char **to = environ;

	for (char **from = environ; *from; from++)
		if (strncmp(*from, name, len) || (*from)[len] != '=')
			*to++ = *from;
	*to = NULL;
}

static const char *base_name(const char *path, size_t len)
{
	const char *slash = memrchr(path, '/', len);

	return slash ? slash + 1 : path;
}

/* Is the entry of LD_PRELOAD this library? By name: entries may hold $LIB or lack the directory. */
static bool is_self(const char *entry, size_t len)
{
	const char *name = base_name(entry, len), *own;
	Dl_info info;

	if (!dladdr(&config, &info))
		return false;
	own = base_name(info.dli_fname, strlen(info.dli_fname));
	return strlen(own) == (size_t)(entry + len - name) && !strncmp(name, own, strlen(own));
}

/* Takes this library out of LD_PRELOAD, in place: what is left is never longer. */
static void leave_preload(void)
{
	char *value = variable_value("LD_PRELOAD"), *end = value;

	if (!value)
		return;
	for (const char *entry = value; *entry;) {
		size_t len = strcspn(entry, " :");
		const char *next = entry + len + (entry[len] ? 1 : 0);

		if (!is_self(entry, len)) {
			memmove(end, entry, (size_t)(next - entry));
			end += next - entry;
		}
		entry = next;
	}
	*end = '\0';
	if (value[strspn(value, " :")] == '\0')
		leave_variable("LD_PRELOAD");
}

static void leave_environment(void)
{
	static const char *const variables[] = {
		"ISOMER_LABEL", "ISOMER_RULES",     "ISOMER_ON_ERROR", "ISOMER_LOG",
		"ISOMER_BPFFS", "ISOMER_REGISTRAR", "ISOMER_VIA",      "ISOMER_INHERIT",
	};

	for (size_t i = 0; i < sizeof(variables) / sizeof(*variables); i++)
		leave_variable(variables[i]);
	leave_preload();
}

__attribute__((constructor)) static void construct(void)
{
	int saved = errno;

	if (start_config())
		udp_kept_start();
	/* Here and not when a hook came first: the environment is still nobody else's. */
	if (atomic_load_explicit(&starter, memory_order_acquire) == DONE && !config.inherit)
		leave_environment();
	errno = saved;
}
