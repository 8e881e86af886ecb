/* SPDX-License-Identifier: BSD-3-Clause */
#include "state/slots.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "state/bpfsys.h"
#include "state/cleanup.h"
#include "state/parse.h"

int isomer_slots_name(const char *label, uint8_t domain, uint8_t protocol,
		      char ret_name[ISOMER_SLOTS_NAME_SIZE])
{
	char name[ISOMER_LABEL_NAME_SIZE];
	int r;

	r = isomer_label_to_name(label, name);
	if (r < 0)
		return r;

	/* Fits: three short words and a file name. */
	snprintf(ret_name, ISOMER_SLOTS_NAME_SIZE, ISOMER_DIR_LABELS "/%s/%s-%s", name,
		 isomer_domain_name(domain), isomer_protocol_name(protocol));
	return 0;
}

static int open_pin(const struct isomer_state *st, const char *label, uint8_t domain,
		    uint8_t protocol, uint32_t flags, int *ret_fd)
{
	char path[ISOMER_PATH_SIZE], name[ISOMER_SLOTS_NAME_SIZE];
	int r;

	r = isomer_slots_name(label, domain, protocol, name);
	if (r < 0)
		return r;
	r = isomer_state_file(st, name, path);
	if (r < 0)
		return r;
	return bpfsys_obj_get(path, flags, ret_fd);
}

int isomer_slots_open(const struct isomer_state *st, const char *label, uint8_t domain,
		      uint8_t protocol, int *ret_fd)
{
	return open_pin(st, label, domain, protocol, 0, ret_fd);
}

int isomer_slots_check(const struct isomer_state *st, const char *label, uint8_t domain,
		       uint8_t protocol, int slots_fd)
{
	struct bpf_map_info ours, theirs;
	CLEANUP_FD int fd = -1;
	int r;

	r = open_pin(st, label, domain, protocol, BPF_F_RDONLY, &fd);
	if (r == 0)
		r = bpfsys_map_info(fd, &theirs);
	if (r == 0)
		r = bpfsys_map_info(slots_fd, &ours);
	if (r < 0)
		return r;
	return ours.id == theirs.id ? 0 : -ESTALE;
}

int isomer_slots_read(int slots_fd, uint64_t ret_cookies[ISOMER_SLOTS])
{
	uint64_t cookies[ISOMER_SLOTS];

	for (uint32_t slot = 0; slot < ISOMER_SLOTS; slot++) {
		int r = bpfsys_map_lookup(slots_fd, &slot, &cookies[slot]);

		if (r < 0 && r != -ENOENT)
			return r;
		if (r == -ENOENT)
			cookies[slot] = 0;
	}

	memcpy(ret_cookies, cookies, sizeof(cookies));
	return 0;
}

/* The slot above the highest used one, so that the highest is the newest; the lowest free one
 * when there is nothing above. 0: none is free. */
static uint32_t next_standby(const uint64_t cookies[ISOMER_SLOTS])
{
	uint32_t slot = ISOMER_SLOTS - 1;

	if (cookies[slot] == 0) {
		while (slot > 1 && cookies[slot - 1] == 0)
			slot--;
		return slot;
	}
	for (slot = 1; slot < ISOMER_SLOTS; slot++)
		if (cookies[slot] == 0)
			return slot;
	return 0;
}

/* Claims a standby for the socket. Returns its number, 0 when none is free, or -errno. */
static int claim_standby(int slots_fd, uint64_t value, uint64_t cookies[ISOMER_SLOTS])
{
	uint32_t slot;
	int r;

	while ((slot = next_standby(cookies)) != 0) {
		r = bpfsys_map_update(slots_fd, &slot, &value, BPF_NOEXIST);
		if (r == 0)
			return (int)slot;
		if (r != -EEXIST)
			return r;
		cookies[slot] = UINT64_MAX; /* somebody was faster: the next one */
	}
	return 0;
}

static bool holds(const uint64_t cookies[ISOMER_SLOTS], uint64_t cookie)
{
	for (int slot = 0; slot < ISOMER_SLOTS; slot++)
		if (cookies[slot] == cookie)
			return true;
	return false;
}

static bool is_empty(const uint64_t cookies[ISOMER_SLOTS])
{
	for (int slot = 0; slot < ISOMER_SLOTS; slot++)
		if (cookies[slot] != 0)
			return false;
	return true;
}

int isomer_slots_put(int slots_fd, int fd, uint64_t cookie, enum isomer_slots_place place,
		     int *ret_slot)
{
	uint64_t cookies[ISOMER_SLOTS], value = (uint64_t)fd;
	bool known, current = true;
	uint32_t first = 0;
	int slot = -1, r;

	r = isomer_slots_read(slots_fd, cookies);
	if (r < 0)
		return r;
	known = holds(cookies, cookie);
	if (known)
		current = place == ISOMER_PLACE_TAKE_OVER && cookies[0] != cookie;
	else if (place == ISOMER_PLACE_STANDBY)
		current = is_empty(cookies);

	if (!known) {
		slot = claim_standby(slots_fd, value, cookies);
		if (slot < 0)
			return slot;
		if (slot == 0 && !current)
			return -ENOSPC;
	}
	if (current) {
		r = bpfsys_map_update(slots_fd, &first, &value, BPF_ANY);
		if (r < 0)
			return r;
	}

	if (ret_slot)
		*ret_slot = slot;
	return 0;
}
