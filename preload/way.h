/* SPDX-License-Identifier: BSD-3-Clause */
/* The ways into the slots: bpf(2) in this process, or the registrar. ISOMER_VIA says which. */
#pragma once

#include "preload/failure.h"
#include "preload/request.h"
#include "state/slots.h"

/** What a way has to offer. Both return 0, or -1 with @ret_failure filled. @way: the first member
 * of what the way needs itself. */
struct way {
	/* Cookies of the sockets in the slots. */
	int (*read)(struct way *way, const struct request *r, uint8_t domain,
		    uint64_t ret[ISOMER_SLOTS], struct failure *ret_failure);
	/* As isomer_slots_put(). */
	int (*put)(struct way *way, const struct request *r, uint8_t domain,
		   enum isomer_slots_place place, int *ret_slot, struct failure *ret_failure);
};

/** Could the request be fulfilled: are dispatcher, namespace, label and right as they must be?
 * Returns 0, or -1 with @ret_failure filled. */
int way_check(const struct request *r, struct failure *ret_failure);

/** Fulfils it. Returns 0, or -1 with @ret_failure filled. */
int way_register(const struct request *r, struct outcome *ret, struct failure *ret_failure);
