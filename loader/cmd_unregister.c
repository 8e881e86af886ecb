/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "loader/caps.h"
#include "loader/command.h"
#include "loader/log.h"
#include "loader/operand.h"
#include "state/bpfsys.h"
#include "state/slots.h"

/* Returns how many slots were emptied, or -errno. */
static int empty_slots(int fd)
{
	int emptied = 0;

	for (uint32_t slot = 0; slot < ISOMER_SLOTS; slot++) {
		int r = bpfsys_map_delete(fd, &slot);

		/* An empty slot is -EINVAL on all kernels so far, and -ENOENT by the manual. */
		if (r < 0 && r != -EINVAL && r != -ENOENT)
			return r;
		emptied += r == 0;
	}
	return emptied;
}

static int run(const struct context *ctx, char **args, int n, const char *const *values)
{
	CLEANUP(change_end) struct change c = CHANGE_NONE;
	CLEANUP_FD int fd = -1;
	uint8_t domain, protocol;
	int r, status;

	(void)n;
	(void)values;

	status = operand_label(args[0]);
	if (status == 0)
		status = operand_domain(args[1], &domain);
	if (status == 0)
		status = operand_protocol(args[2], &protocol);
	if (status)
		return status;

	if (command_begin_change(ctx, &c) < 0)
		return EXIT_FAILURE;
	r = isomer_slots_open(&c.d.st, args[0], domain, protocol, &fd);
	if (r == -ENOENT)
		return log_failure(r, "there is no label '%s'", args[0]);
	if (r == 0)
		r = empty_slots(fd);
	if (r < 0)
		return log_failure(r, "cannot unregister the sockets of %s:%s:%s: %m", args[0],
				   args[1], args[2]);
	if (r == 0)
		return log_failure(-ENOENT, "no socket is registered for %s:%s:%s", args[0],
				   args[1], args[2]);
	printf("unregistered %s:%s:%s\n", args[0], args[1], args[2]);

	r = change_collect(&c);
	if (r < 0)
		return log_failure(r, "cannot drop labels that nothing needs any more: %m");
	return command_finish();
}

const struct command cmd_unregister = {
	.name = "unregister",
	.operands = "LABEL ipv4|ipv6 tcp|udp",
	.summary = "take all sockets of a destination out of its slots",
	.help = "The sockets stay open; the destination's traffic then meets the miss policy of its\n"
		"bindings until another socket registers.\n",
	.min_args = 3,
	.max_args = 3,
	.caps = CAPS_CHANGE,
	.run = run,
};
