/* SPDX-License-Identifier: BSD-3-Clause */
/* Prefixes: what is read is what inet_pton() reads, and reads the same when written again. */
#include <arpa/inet.h>
#include <errno.h>

#include "fuzz/fuzz.h"
#include "state/cleanup.h"
#include "state/parse.h"

static void check_host_bits(const struct isomer_prefix *p)
{
	for (unsigned int bit = p->len; bit < 128; bit++)
		CHECK(!(p->addr[bit / 8] >> (7 - bit % 8) & 1));
}

static void check_text(const struct isomer_prefix *p)
{
	char text[INET6_ADDRSTRLEN + 4];
	struct isomer_prefix again;
	bool masked = true;

	CHECK(inet_ntop(p->domain, p->addr, text, INET6_ADDRSTRLEN));
	snprintf(text + strlen(text), 5, "/%u", p->len);
	CHECK(isomer_parse_prefix(text, strlen(text), &again, &masked) == 0);
	CHECK(!masked);
	CHECK(memcmp(p, &again, sizeof(again)) == 0);
}

/* The address alone, by libc. */
static void check_address(const char *text, const struct isomer_prefix *p, bool masked)
{
	CLEANUP_FREE char *copy = strdup(text);
	uint8_t addr[16] = { 0 };

	CHECK(copy);
	copy[strcspn(copy, "/")] = '\0';
	CHECK(inet_pton(p->domain, copy, addr) == 1);
	CHECK(masked == (memcmp(addr, p->addr, sizeof(addr)) != 0));
	for (unsigned int bit = 0; bit < p->len; bit++)
		CHECK(((addr[bit / 8] ^ p->addr[bit / 8]) >> (7 - bit % 8) & 1) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = fuzz_string(data, size);
	struct isomer_prefix untouched, p;
	bool masked = true;
	int r;

	memset(&untouched, 0xa5, sizeof(untouched));
	p = untouched;
	r = isomer_parse_prefix(text, size, &p, &masked);
	if (r < 0) {
		CHECK(r == -EINVAL || r == -ERANGE || r == -EAFNOSUPPORT);
		CHECK(masked && memcmp(&p, &untouched, sizeof(p)) == 0);
		return 0;
	}
	CHECK(strlen(text) == size);
	CHECK(p.domain == AF_INET ? p.len <= 32 : p.domain == AF_INET6 && p.len <= 128);
	check_host_bits(&p);
	check_text(&p);
	check_address(text, &p, masked);
	return 0;
}
