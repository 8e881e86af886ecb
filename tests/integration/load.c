/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "integration/load.h"
#include "support/net.h"

#define SECONDS_MAX 240

struct load {
	struct load_options options;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned made, failed; /* connections so far, and those of them that went wrong */
	char wrong[256];       /* what the first of these was */
	bool stop, ended;
};

static bool try_once(const struct load_options *o, char *ret_wrong, size_t size)
{
	char answer[1024];
	int r = tcp_exchange(o->ip, o->port, o->request, answer, sizeof(answer));

	if (r >= 0 && strstr(answer, o->expected))
		return true;
	snprintf(ret_wrong, size, "%.*s", (int)size - 1,
		 r < 0   ? strerror(-r)
		 : r > 0 ? answer
			 : "no answer");
	return false;
}

static void *load_main(void *arg)
{
	struct load *l = arg;
	time_t end = time(NULL) + SECONDS_MAX;

	while (!l->ended) {
		char wrong[sizeof(l->wrong)] = "";
		bool good = try_once(&l->options, wrong, sizeof(wrong));

		pthread_mutex_lock(&l->lock);
		l->made++;
		if (!good && l->failed++ == 0)
			memcpy(l->wrong, wrong, sizeof(wrong));
		l->ended = l->stop || time(NULL) >= end;
		pthread_cond_signal(&l->changed);
		pthread_mutex_unlock(&l->lock);
	}
	return NULL;
}

struct load *load_start(const struct load_options *options)
{
	struct load *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	*l = (struct load){
		.options = *options,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	assert_int_equal(pthread_create(&l->thread, NULL, load_main, l), 0);
	load_more(l, 1);
	return l;
}

void load_more(struct load *l, unsigned n)
{
	bool ended;

	pthread_mutex_lock(&l->lock);
	n += l->made;
	while (l->made < n && !l->ended)
		pthread_cond_wait(&l->changed, &l->lock);
	ended = l->ended;
	pthread_mutex_unlock(&l->lock);
	if (ended)
		fail_msg("what the test waits for has not come in %u s; of %u connections %u went "
			 "wrong: %s",
			 SECONDS_MAX, l->made, l->failed, l->wrong);
}

void load_stop(struct load *l)
{
	unsigned made, failed;
	char wrong[sizeof(l->wrong)];

	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_mutex_unlock(&l->lock);
	assert_int_equal(pthread_join(l->thread, NULL), 0);
	made = l->made;
	failed = l->failed;
	memcpy(wrong, l->wrong, sizeof(wrong));
	free(l);
	if (failed)
		fail_msg("%u of %u connections went wrong, the first with: %s", failed, made,
			 wrong);
}
