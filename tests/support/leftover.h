/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the fixtures: what a failed assertion jumped over. */
#pragma once

/** Kills and frees every process of process_start() that was not stopped. */
void process_end_leftovers(void);
