/* SPDX-License-Identifier: BSD-3-Clause */
/* bind() and listen() are no cancellation points, open() and poll() are: a thread that is being
 * cancelled must get through a hook unharmed and without leaving a descriptor behind.
 */
#pragma once

#include <pthread.h>

static inline int guard_enter(void)
{
	int before;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	return before;
}

static inline void guard_leavep(const int *before)
{
	pthread_setcancelstate(*before, NULL);
}

/* Keeps the thread from being cancelled until the end of the scope. */
#define GUARD() __attribute__((cleanup(guard_leavep), unused)) int guard_before_ = guard_enter()
