/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers, ports and ranges: there is one way to write each, so what is read is what was written.
 */
#include <errno.h>
#include <inttypes.h>

#include "fuzz/fuzz.h"
#include "state/cleanup.h"
#include "state/parse.h"

static void check_number(const char *text, size_t size)
{
	uint64_t number = 1, largest = 1;
	char again[24];
	int r = isomer_parse_number(text, size, UINT64_MAX, &largest);

	if (r < 0) {
		CHECK((r == -EINVAL || r == -ERANGE) && largest == 1);
		return;
	}
	snprintf(again, sizeof(again), "%" PRIu64, largest);
	CHECK(strlen(again) == size && memcmp(again, text, size) == 0);
	CHECK(isomer_parse_number(text, size, largest, &number) == 0 && number == largest);
	if (largest)
		CHECK(isomer_parse_number(text, size, largest - 1, &number) == -ERANGE);
}

static void check_ports(const char *text, size_t size)
{
	struct isomer_ports ports = { .first = 7, .last = 3 };
	char again[24];
	int r = isomer_parse_ports(text, size, &ports);

	if (r < 0) {
		CHECK((r == -EINVAL || r == -ERANGE) && ports.first == 7 && ports.last == 3);
		return;
	}
	if (ports.first == 0) {
		CHECK(ports.last == UINT16_MAX && size == 1 && text[0] == '0');
		return;
	}
	CHECK(ports.first <= ports.last);
	snprintf(again, sizeof(again), memchr(text, '-', size) ? "%u-%u" : "%u", ports.first,
		 ports.last);
	CHECK(strlen(again) == size && memcmp(again, text, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = fuzz_string(data, size);
	uint8_t protocol, domain;

	check_number(text, size);
	check_ports(text, size);
	if (isomer_parse_protocol(text, size, &protocol) == 0)
		CHECK(!strcmp(isomer_protocol_name(protocol), text) && strlen(text) == size);
	if (isomer_parse_domain(text, size, &domain) == 0)
		CHECK(!strcmp(isomer_domain_name(domain), text) && strlen(text) == size);
	return 0;
}
