/* SPDX-License-Identifier: BSD-3-Clause */
/* The direct way into the slots: bpf(2) in this process. Opens everything anew each time and keeps
 * nothing, as guests close what they did not open.
 */
#pragma once

#include "preload/failure.h"
#include "preload/request.h"

/** Remembers the namespace in which the process starts, for when its /proc has gone. */
void direct_start(void);

/** Could the request be fulfilled: are dispatcher, namespace, label and right as they must be?
 * Returns 0, or -1 with @ret_failure filled. */
int direct_check(const struct request *r, struct failure *ret_failure);

/** Fulfils it. Returns 0, or -1 with @ret_failure filled. */
int direct_register(const struct request *r, struct outcome *ret, struct failure *ret_failure);
