/* SPDX-License-Identifier: BSD-3-Clause */
/* A network and mount namespace of its own for each test: nothing has a name outside, so nothing
 * leaks and nothing meets.
 */
#pragma once

#include <stdint.h>

#include <isomer/abi.h>

struct netns_fixture {
	int setup_error;   /* 0 or -errno */
	const char *bpffs; /* "/sys/fs/bpf": a fresh BPF filesystem, mode 0711 */
	uint64_t netns_inode;
	char state_dir[256]; /* where the dispatcher's state of this namespace is, once loaded */
};

/* cmocka setup and teardown: enter new namespaces with lo up (127.0.0.1/8 and ::1) and a private
 * bpffs; leave for the ones of the test program, which ends the test's. */
int netns_setup(void **state);
int netns_teardown(void **state);

/** The fixture; skips the test where there could be none, fails it under ISOMER_TESTS_MUST_RUN=1.
 */
struct netns_fixture *netns_or_skip(void **state);

/** Skips (or fails, under ISOMER_TESTS_MUST_RUN=1) a test that needs what is not there. */
void skip_or_fail(const char *what);

/** Skips a test that needs @what, which Linux has since @major.@minor; on those that should have
 * it, the same as skip_or_fail(). */
void skip_before_linux(unsigned int major, unsigned int minor, const char *what);

/** A cmocka_unit_test in namespaces of its own. */
#define netns_test(fn) cmocka_unit_test_setup_teardown(fn, netns_setup, netns_teardown)
