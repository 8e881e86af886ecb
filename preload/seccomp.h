/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/**
 * Is a seccomp filter in force on the calling thread? bpf(2) under a filter that does not know it
 * ends the process. Looks anew each time: servers install their filter late, and on single threads.
 *
 * Returns 0 when there is none, 1 when there is, or -errno when it cannot be told, which has to
 * count as yes.
 */
int seccomp_filtered(void);
