/* SPDX-License-Identifier: BSD-3-Clause */
/* The dispatcher alone, without the loader's state: loaded, attached to the network namespace that
 * the test is in, and gone with the fixture. Each function fails the test when it cannot do its
 * job.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <isomer/abi.h>

#include "loader/ruleset.h"
#include "support/ruleset_model.h"

struct dispatcher_fixture;

struct dispatcher_fixture *dispatcher_fixture_make(uint32_t max_destinations);
void dispatcher_fixture_freep(struct dispatcher_fixture **f);

int dispatcher_program(const struct dispatcher_fixture *f);

/** Makes the index of a compiled ruleset, which no packet sees yet. Not again before it was put in
 * force. Returns a descriptor, the caller's. */
int dispatcher_make_index(struct dispatcher_fixture *f, struct ruleset *rs);

/** Puts an index in force. */
void dispatcher_swap(struct dispatcher_fixture *f, int index);

/** Compiles the bindings and puts them in force. */
void dispatcher_publish(struct dispatcher_fixture *f, const struct isomer_binding *bindings,
			size_t n);

/** Makes the slots of the destinations 0 to @n - 1. */
void dispatcher_make_slots(struct dispatcher_fixture *f, uint32_t n);

/** Puts the socket @fd into a slot. The fixture's destinations must have slots. */
void dispatcher_register(struct dispatcher_fixture *f, uint32_t destination, uint32_t slot, int fd);

/** The counters of a destination, of all CPUs. */
struct isomer_metrics dispatcher_metrics(const struct dispatcher_fixture *f, uint32_t destination);

/** Skips the test where the kernel cannot run the program without a packet, as before 5.13. */
void dispatcher_need_run(const struct dispatcher_fixture *f);

/** Runs the program on @l. @ret_cookie: of the socket that it chose, or 0. Returns its verdict. */
int dispatcher_run(const struct dispatcher_fixture *f, const struct model_lookup *l,
		   uint64_t *ret_cookie);

/** As dispatcher_run(), for threads that cannot fail the test. Returns 0 or -errno. */
int dispatcher_try_run(const struct dispatcher_fixture *f, const struct model_lookup *l,
		       int *ret_verdict, uint64_t *ret_cookie);
