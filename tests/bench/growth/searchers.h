/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads, one on each processor, that run the dispatcher all the time. */
#pragma once

#include "support/dispatcher_fixture.h"

struct searchers;

struct searchers *searchers_start(const struct dispatcher_fixture *f);
void searchers_stop(struct searchers *s);
