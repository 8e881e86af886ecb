/* SPDX-License-Identifier: BSD-3-Clause */
/* A small HTTP server: one page, made anew for each GET. */
#pragma once

#include <stddef.h>
#include <stdio.h>

struct http_page {
	const char *path; /* exactly this one; NULL: "/" and "/metrics" */
	const char *type; /* Content-Type */
	unsigned timeout; /* seconds that a client may be idle */
	void (*write)(FILE *out, void *arg);
	void *arg;
};

/**
 * Serves the page on the listening socket @fd, which it closes, in a thread of its own until
 * @end_fd can be read from. Returns 0, -ELIBACC when libmicrohttpd is not installed, or another
 * negative errno.
 */
int http_serve(int fd, int end_fd, const struct http_page *page);
