/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/kernel_verdict.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/socket.h>

#include "state/cleanup.h"

#define ENOTSUPP 524 /* of the kernel; no libc name */

int kernel_verdict_ask(const struct dispatcher *d, const struct target *target,
		       struct kernel_verdict *ret)
{
	/* Remote address and port stay 0: by that the program knows that it is only asked. */
	struct bpf_sk_lookup in, out;
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &in, .ctx_size_in = sizeof(in),
		    .ctx_out = &out, .ctx_size_out = sizeof(out));
	CLEANUP_FD int fd = -1;
	int r;

	r = dispatcher_open_pin(d, ISOMER_PIN_PROGRAM, DISPATCHER_READ, &fd);
	if (r < 0)
		return r;
	memset(&in, 0, sizeof(in));
	memset(&out, 0, sizeof(out));
	in.family = target->domain;
	in.protocol = target->protocol;
	in.local_port = target->port;
	if (target->domain == AF_INET)
		memcpy(&in.local_ip4, target->addr, sizeof(in.local_ip4));
	else
		memcpy(in.local_ip6, target->addr, sizeof(in.local_ip6));

	if (bpf_prog_test_run_opts(fd, &options) < 0)
		return errno == EOPNOTSUPP                    ? -EBUSY
		       : errno == ENOTSUPP || errno == EINVAL ? -EOPNOTSUPP
							      : -errno;

	ret->drop = options.retval == SK_DROP;
	ret->socket = out.cookie;
	return 0;
}
