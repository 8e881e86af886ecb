/* SPDX-License-Identifier: BSD-3-Clause */
/* The compiler of rulesets and the program that searches what it makes, against the naive model.
 * The bytes are bindings, 8 of them for each; where to look is found from the bindings.
 */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "fuzz/fuzz.h"
#include "loader/ruleset.h"
#include "state/cleanup.h"
#include "support/host_program.h"

#define BINDINGS_MAX 100
#define LOOKUPS      300
#define PLACE        1 /* of the pages, where there are any behind the first */

static struct ruleset in_force;

/* Where the program finds it: its first page, and all of them. */
static char first_page, all_pages;

/* The destination that the program asked for; -1: none. */
static int64_t wanted;

void *host_map_lookup(void *map, const void *key)
{
	uint32_t i;

	memcpy(&i, key, sizeof(i));
	if (map == (void *)ruleset) {
		CHECK(i == 0);
		return &first_page;
	}
	if (map == (void *)pages) {
		CHECK(i == PLACE);
		return &all_pages;
	}
	if (map == (void *)sockets)
		wanted = i;
	if (map != &first_page && map != &all_pages)
		return NULL; /* no slots, no counters */
	CHECK(i < (map == &all_pages ? ruleset_pages(&in_force) : 1));
	return &((struct isomer_page *)in_force.blocks)[i];
}

long host_sk_assign(void *ctx, void *sk, __u64 flags)
{
	(void)ctx;
	(void)sk;
	(void)flags;
	CHECK(false);
	return -1;
}

long host_sk_release(void *sk)
{
	(void)sk;
	CHECK(false);
	return -1;
}

/* Few addresses and ports, so that bindings meet; any of them can be reached. */
static struct isomer_binding make_binding(struct fuzz_input *in)
{
	uint8_t kind = fuzz_byte(in), length = fuzz_byte(in);
	struct isomer_binding b = {
		.domain = kind & 1 ? AF_INET6 : AF_INET,
		.protocol = kind & 2 ? IPPROTO_UDP : IPPROTO_TCP,
		.miss = kind & 4 ? ISOMER_MISS_PASS : ISOMER_MISS_DROP,
	};
	unsigned int bits = b.domain == AF_INET6 ? 128 : 32;

	b.prefixlen = length % (bits + 1);
	memset(b.addr, kind & 8 ? 0xff : 0, bits / 8);
	for (int i = 0; i < 2; i++) {
		uint8_t place = fuzz_byte(in) % (bits / 8);

		b.addr[place] ^= fuzz_byte(in);
	}
	for (unsigned int bit = b.prefixlen; bit < 128; bit++)
		b.addr[bit / 8] &= ~(0x80 >> bit % 8);

	b.port_first = (kind & 16 ? 0xff00 : 0) + fuzz_byte(in);
	b.port_last = b.port_first + (kind & 32 ? fuzz_byte(in) : 0) * (kind & 64 ? 256 : 1);
	if (b.port_first == 0 || b.port_last < b.port_first) {
		b.port_first = 0;
		b.port_last = UINT16_MAX;
	}
	return b;
}

static bool same_rule(const struct isomer_binding *a, const struct isomer_binding *b)
{
	return a->domain == b->domain && a->protocol == b->protocol &&
	       a->prefixlen == b->prefixlen && a->port_first == b->port_first &&
	       a->port_last == b->port_last && memcmp(a->addr, b->addr, sizeof(a->addr)) == 0;
}

static bool is_new(const struct isomer_binding *set, size_t n, const struct isomer_binding *b)
{
	for (size_t i = 0; i < n; i++)
		if (same_rule(&set[i], b))
			return false;
	return true;
}

/* @ret_twice: one that is there already. */
static size_t make_bindings(struct fuzz_input *in, struct isomer_binding *ret,
			    struct isomer_binding *ret_twice)
{
	size_t n = 0;

	while (in->size && n < BINDINGS_MAX) {
		ret[n] = make_binding(in);
		ret[n].destination = (uint32_t)n;
		if (is_new(ret, n, &ret[n]))
			n++;
		else
			*ret_twice = ret[n];
	}
	return n;
}

static void check_lookup(const struct isomer_binding *set, size_t n, const struct model_lookup *l)
{
	struct model_answer answer = model_search(set, n, l);
	struct bpf_sk_lookup ctx = host_packet(l);
	int verdict;

	wanted = -1;
	verdict = dispatcher(&ctx);
	if (!answer.winner) {
		CHECK(wanted == -1 && verdict == SK_PASS);
		return;
	}
	CHECK(wanted == answer.winner->destination);
	CHECK(verdict == (answer.winner->miss == ISOMER_MISS_PASS ? SK_PASS : SK_DROP));
}

static void check_lookups(const struct isomer_binding *set, size_t n, uint32_t place, size_t seed)
{
	struct model_random random = { seed };

	((struct isomer_index_header *)in_force.blocks)->place = place;
	for (int i = 0; n && i < LOOKUPS; i++) {
		struct model_lookup l = model_lookup_near(&random, set, n);

		check_lookup(set, n, &l);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct isomer_binding set[BINDINGS_MAX + 1], twice = { .domain = 0 };
	size_t n = make_bindings(&in, set, &twice);

	CHECK(ruleset_compile(set, n, &in_force) == 0);
	if (ruleset_pages(&in_force) == 1)
		check_lookups(set, n, ISOMER_PLACES, size);
	check_lookups(set, n, PLACE, size);
	ruleset_done(&in_force);

	set[n] = twice;
	if (twice.domain)
		CHECK(ruleset_compile(set, n + 1, &in_force) == -EINVAL);
	return 0;
}
