/* SPDX-License-Identifier: BSD-3-Clause */
#include "support/environment.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

const char *environment_sanitizer(void)
{
	void *init = dlsym(RTLD_DEFAULT, "__asan_init");
	Dl_info info;

	if (!init || !dladdr(init, &info) || !info.dli_fname || !strstr(info.dli_fname, "libasan"))
		return NULL;
	return info.dli_fname;
}

static bool same_name(const char *a, const char *b)
{
	size_t len = strcspn(a, "=");

	return strncmp(a, b, len) == 0 && b[len] == '=';
}

static void environment_set(struct environment *env, char *entry)
{
	for (size_t i = 0; i < env->n; i++) {
		if (same_name(entry, env->entries[i])) {
			env->entries[i] = entry;
			return;
		}
	}
	env->entries[env->n++] = entry;
	env->entries[env->n] = NULL;
}

static const char *environment_get(const struct environment *env, const char *name)
{
	for (size_t i = 0; i < env->n; i++) {
		if (same_name(name, env->entries[i]))
			return env->entries[i] + strlen(name) + 1;
	}
	return NULL;
}

/* Leaks are looked for in our own programs alone, and as root: others leak at exit as they like. */
static void environment_add_sanitizer(struct environment *env, const struct process_options *o)
{
	const char *runtime = environment_sanitizer();
	const char *preload = environment_get(env, "LD_PRELOAD");
	const char *asan = environment_get(env, "ASAN_OPTIONS");
	bool is_loader = strcmp(o->argv[0], loader_path()) == 0;

	if (!runtime)
		return;
	/* The loader's `run` appends to what is there. */
	if (preload ? !strstr(preload, runtime) : is_loader) {
		assert_true(asprintf(&env->made[0], "LD_PRELOAD=%s%s%s", runtime,
				     preload ? ":" : "", preload ? preload : "") > 0);
		environment_set(env, env->made[0]);
	}
	if (preload || o->uid != 0) {
		assert_true(asprintf(&env->made[1], "ASAN_OPTIONS=%s%sdetect_leaks=0",
				     asan ? asan : "", asan ? ":" : "") > 0);
		environment_set(env, env->made[1]);
	}
}

void environment_make(struct environment *env, const struct process_options *o)
{
	size_t n = 0, added = 0;

	while (environ[n])
		n++;
	while (o->env && o->env[added])
		added++;
	*env = (struct environment){ .entries = calloc(n + added + 3, sizeof(char *)) };
	assert_non_null(env->entries);
	for (size_t i = 0; i < n; i++)
		env->entries[env->n++] = environ[i];
	for (size_t i = 0; i < added; i++)
		environment_set(env, (char *)o->env[i]);
	environment_add_sanitizer(env, o);
}

void environment_done(struct environment *env)
{
	free(env->entries);
	free(env->made[0]);
	free(env->made[1]);
}
