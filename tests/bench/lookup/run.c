/* SPDX-License-Identifier: BSD-3-Clause */
#include <bpf/bpf.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/figures.h"
#include "bench/lookup/programs.h"

#define WARM_RUNS 200

/* The kernel reports whole nanoseconds of the mean run, and counts one pair of clock readings in
 * with all of them: with one run it is part of the time, as it is of the empty program's. */
static double run(int program, const struct model_lookup *l, int repeat, uint64_t *ret_cookie)
{
	struct bpf_sk_lookup in = { .family = l->domain, .protocol = l->protocol };
	struct bpf_sk_lookup out = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &in, .ctx_size_in = sizeof(in),
		    .ctx_out = &out, .ctx_size_out = sizeof(out), .repeat = repeat);

	in.local_port = l->port;
	in.remote_port = htons(40000);
	if (l->domain == AF_INET) {
		in.remote_ip4 = htonl(INADDR_LOOPBACK);
		memcpy(&in.local_ip4, l->addr, sizeof(in.local_ip4));
	} else {
		in.remote_ip6[3] = htonl(1);
		memcpy(in.local_ip6, l->addr, sizeof(in.local_ip6));
	}
	if (bpf_prog_test_run_opts(program, &options) < 0)
		figures_give_up("BPF_PROG_TEST_RUN of sk_lookup (Linux 5.13)");
	*ret_cookie = out.cookie;
	return options.duration;
}

uint64_t run_once(int program, const struct model_lookup *target)
{
	uint64_t cookie;

	run(program, target, 1, &cookie);
	return cookie;
}

double time_warm(int program, const struct model_lookup *target)
{
	uint64_t cookie;

	return run(program, target, WARM_RUNS, &cookie);
}

/* Reads on through more memory than a core's own caches hold, as much at a time as the first of
 * them holds. */
static void displace(void)
{
	static volatile char memory[16 << 20];
	static size_t at;

	for (size_t i = 0; i < 64 << 10; i += 64)
		memory[(at + i) % sizeof(memory)]++;
	at = (at + (64 << 10)) % sizeof(memory);
}

double time_cold(int program, const struct model_lookup *target)
{
	uint64_t cookie;

	displace();
	return run(program, target, 1, &cookie);
}
