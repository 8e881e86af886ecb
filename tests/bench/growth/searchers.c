/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/growth/searchers.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/figures.h"

struct searchers {
	const struct dispatcher_fixture *f;
	atomic_bool end;
	int n;
	pthread_t threads[];
};

static void *search(void *data)
{
	const struct model_lookup target = {
		.domain = AF_INET,
		.protocol = IPPROTO_TCP,
		.port = 80,
		.addr = { 10 },
	};
	struct searchers *s = data;
	uint64_t cookie;
	int verdict;

	while (!atomic_load(&s->end))
		if (dispatcher_try_run(s->f, &target, &verdict, &cookie) < 0)
			break;
	return NULL;
}

static void start_on(struct searchers *s, unsigned int cpu)
{
	pthread_attr_t attributes;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	if (pthread_attr_init(&attributes) != 0 ||
	    pthread_attr_setaffinity_np(&attributes, sizeof(cpus), &cpus) != 0 ||
	    pthread_create(&s->threads[s->n++], &attributes, search, s) != 0)
		figures_give_up("thread");
	pthread_attr_destroy(&attributes);
}

struct searchers *searchers_start(const struct dispatcher_fixture *f)
{
	struct searchers *s = calloc(1, sizeof(*s) + CPU_SETSIZE * sizeof(*s->threads));
	cpu_set_t cpus;

	if (!s || sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		figures_give_up("threads");
	s->f = f;
	for (unsigned int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &cpus))
			start_on(s, cpu);
	return s;
}

void searchers_stop(struct searchers *s)
{
	atomic_store(&s->end, true);
	for (int i = 0; i < s->n; i++)
		pthread_join(s->threads[i], NULL);
	free(s);
}
