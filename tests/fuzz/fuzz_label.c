/* SPDX-License-Identifier: BSD-3-Clause */
/* Labels and their file names: each label has one name, each name one label, and no name leads out
 * of its folder.
 */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "fuzz/fuzz.h"
#include "state/cleanup.h"
#include "state/label.h"
#include "state/slots.h"

static void check_label(const char *label)
{
	char name[ISOMER_LABEL_NAME_SIZE], again[ISOMER_LABEL_NAME_SIZE];
	char path[ISOMER_SLOTS_NAME_SIZE];
	int r = isomer_label_check(label);

	CHECK(isomer_label_to_name(label, name) == r);
	CHECK(isomer_slots_name(label, AF_INET6, IPPROTO_UDP, path) == r);
	if (r < 0) {
		CHECK(r == -EINVAL || r == -ENAMETOOLONG);
		return;
	}
	CHECK(strlen(name) < sizeof(name) && !strpbrk(name, "./") && strlen(label) <= 255);
	CHECK(isomer_label_from_name(name, again) == 0 && !strcmp(again, label));
	CHECK(!strncmp(path, "labels/", 7) && !strncmp(path + 7, name, strlen(name)) &&
	      !strcmp(path + 7 + strlen(name), "/ipv6-udp"));
}

static void check_name(const char *name)
{
	char label[ISOMER_LABEL_NAME_SIZE], again[ISOMER_LABEL_NAME_SIZE];

	if (isomer_label_from_name(name, label) < 0)
		return;
	CHECK(isomer_label_check(label) == 0);
	CHECK(isomer_label_to_name(label, again) == 0 && !strcmp(again, name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = fuzz_string(data, size);

	check_label(text);
	check_name(text);
	return 0;
}
