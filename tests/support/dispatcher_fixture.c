/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "dispatcher.skel.h"
#include "loader/batch.h"
#include "loader/index.h"
#include "state/cleanup.h"
#include "support/dispatcher_fixture.h"
#include "support/netns.h"

struct dispatcher_fixture {
	struct dispatcher_bpf *skeleton;
	struct bpf_link *link;
	int *slots; /* descriptors, by destination */
	uint32_t n_slots;
	uint32_t place; /* where the pages of the last index went */
};

static struct bpf_link *attach(const struct dispatcher_fixture *f)
{
	CLEANUP_FD int netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	assert_return_code(netns, errno);
	return bpf_program__attach_netns(f->skeleton->progs.dispatcher, netns);
}

struct dispatcher_fixture *dispatcher_fixture_make(uint32_t max_destinations)
{
	struct dispatcher_fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->skeleton = dispatcher_bpf__open();
	assert_non_null(f->skeleton);
	bpf_map__set_max_entries(f->skeleton->maps.sockets, max_destinations);
	bpf_map__set_max_entries(f->skeleton->maps.metrics, max_destinations);
	assert_return_code(dispatcher_bpf__load(f->skeleton), errno);
	f->link = attach(f);
	assert_non_null(f->link);
	return f;
}

void dispatcher_fixture_freep(struct dispatcher_fixture **f)
{
	if (!*f)
		return;
	for (uint32_t i = 0; i < (*f)->n_slots; i++)
		close((*f)->slots[i]);
	free((*f)->slots);
	bpf_link__destroy((*f)->link);
	dispatcher_bpf__destroy((*f)->skeleton);
	free(*f);
}

int dispatcher_program(const struct dispatcher_fixture *f)
{
	return bpf_program__fd(f->skeleton->progs.dispatcher);
}

int dispatcher_make_index(struct dispatcher_fixture *f, struct ruleset *rs)
{
	int index = -1, r;

	f->place = !f->place;
	r = index_create(rs, bpf_map__fd(f->skeleton->maps.pages), f->place, &index);
	assert_return_code(r, -r);
	return index;
}

void dispatcher_swap(struct dispatcher_fixture *f, int index)
{
	uint32_t zero = 0;

	assert_return_code(bpf_map__update_elem(f->skeleton->maps.ruleset, &zero, sizeof(zero),
						&index, sizeof(index), BPF_ANY),
			   errno);
}

void dispatcher_publish(struct dispatcher_fixture *f, const struct isomer_binding *bindings,
			size_t n)
{
	CLEANUP(ruleset_done) struct ruleset rs = { 0 };
	CLEANUP_FD int index = -1;

	assert_int_equal(ruleset_compile(bindings, n, &rs), 0);
	index = dispatcher_make_index(f, &rs);
	dispatcher_swap(f, index);
}

void dispatcher_make_slots(struct dispatcher_fixture *f, uint32_t n)
{
	int r;

	f->slots = calloc(n, sizeof(*f->slots));
	assert_non_null(f->slots);
	for (f->n_slots = 0; f->n_slots < n; f->n_slots++) {
		int map = bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "slots", sizeof(uint32_t),
					 sizeof(uint64_t), ISOMER_SLOTS, NULL);

		assert_return_code(map, errno);
		f->slots[f->n_slots] = map;
	}
	r = batch_write_array(bpf_map__fd(f->skeleton->maps.sockets), f->slots, sizeof(*f->slots),
			      n);
	assert_return_code(r, -r);
}

void dispatcher_register(struct dispatcher_fixture *f, uint32_t destination, uint32_t slot, int fd)
{
	uint64_t value = (uint64_t)fd;

	assert_in_range(destination, 0, f->n_slots - 1);
	assert_return_code(bpf_map_update_elem(f->slots[destination], &slot, &value, BPF_ANY),
			   errno);
}

struct isomer_metrics dispatcher_metrics(const struct dispatcher_fixture *f, uint32_t destination)
{
	int n = libbpf_num_possible_cpus();
	CLEANUP_FREE struct isomer_metrics *cpu = NULL;
	struct isomer_metrics sum = { 0 };

	assert_return_code(n, -n);
	cpu = calloc((size_t)n, sizeof(*cpu));
	assert_non_null(cpu);
	assert_return_code(bpf_map__lookup_elem(f->skeleton->maps.metrics, &destination,
						sizeof(destination), cpu, (size_t)n * sizeof(*cpu),
						0),
			   errno);
	for (int i = 0; i < n; i++) {
		sum.lookups += cpu[i].lookups;
		sum.misses += cpu[i].misses;
		for (int e = 0; e < ISOMER_ERRORS; e++)
			sum.errors[e] += cpu[i].errors[e];
	}
	return sum;
}

int dispatcher_try_run(const struct dispatcher_fixture *f, const struct model_lookup *l,
		       int *ret_verdict, uint64_t *ret_cookie)
{
	struct bpf_sk_lookup in = {
		.family = l->domain,
		.protocol = l->protocol,
		.local_port = l->port,
	};
	struct bpf_sk_lookup out = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &in, .ctx_size_in = sizeof(in),
		    .ctx_out = &out, .ctx_size_out = sizeof(out));

	if (l->domain == AF_INET)
		memcpy(&in.local_ip4, l->addr, sizeof(in.local_ip4));
	else
		memcpy(in.local_ip6, l->addr, sizeof(in.local_ip6));
	if (bpf_prog_test_run_opts(dispatcher_program(f), &options) < 0)
		return -errno;
	*ret_verdict = (int)options.retval;
	*ret_cookie = out.cookie;
	return 0;
}

static bool can_run(const struct dispatcher_fixture *f)
{
	const struct model_lookup l = { .domain = AF_INET, .protocol = IPPROTO_TCP };
	uint64_t cookie;
	int verdict;

	return dispatcher_try_run(f, &l, &verdict, &cookie) == 0;
}

void dispatcher_need_run(const struct dispatcher_fixture *f)
{
	if (!can_run(f))
		skip_before_linux(5, 13, "BPF_PROG_TEST_RUN of sk_lookup");
}

int dispatcher_run(const struct dispatcher_fixture *f, const struct model_lookup *l,
		   uint64_t *ret_cookie)
{
	int r, verdict = -1;

	r = dispatcher_try_run(f, l, &verdict, ret_cookie);
	assert_return_code(r, -r);
	return verdict;
}
