/* SPDX-License-Identifier: BSD-3-Clause */
/* A client that makes one connection after another while servers come and go, in a thread of its
 * own, and counts what goes wrong.
 */
#pragma once

#include <stdint.h>

struct load; /* opaque */

/** What the client does: it sends @request (NULL: nothing) to @ip:@port and reads until the server
 * closes. @expected must be in the answer. Strings must outlive the load. */
struct load_options {
	const char *ip;
	uint16_t port;
	const char *request;
	const char *expected;
};

/** Starts it in the network namespace of the caller. It ends by itself when a test forgets it. */
struct load *load_start(const struct load_options *options);

/** Waits until it has made @n more connections. After two more, none of them is older than this
 * call: a server that has been replaced before it has got its last one. */
void load_more(struct load *l, unsigned n);

/** Ends it, and fails the test when a connection was refused, was reset, or got another answer. */
void load_stop(struct load *l);
