/* SPDX-License-Identifier: BSD-3-Clause */
/* daemon IP PORT: closes all descriptors as daemons do, so that its listener is descriptor 0 and
 * there is nothing to print on, listens and serves. Its second and third listener are 1 and 2:
 * whoever writes to "stderr" writes to a socket. The third is on the port behind PORT: by it others
 * know that the first two calls are over.
 */
#include <poll.h>

#include "guest.h"

int main(int argc, char **argv)
{
	uint16_t port = (uint16_t)(argc == 3 ? strtoul(argv[2], NULL, 10) : 0);
	struct pollfd fds[3];

	if (close_range(0, ~0U, 0) < 0)
		return 1;
	for (int i = 0; i < 3; i++) {
		fds[i] = (struct pollfd){ .fd = guest_tcp(argv[1], port + (i == 2), true),
					  .events = POLLIN };
		if (fds[i].fd != i || listen(fds[i].fd, 16) < 0)
			return 1;
	}
	if (close_range(3, ~0U, 0) < 0)
		return 1;
	while (poll(fds, 3, -1) > 0)
		for (int i = 0; i < 3; i++)
			if (fds[i].revents)
				guest_serve_one(fds[i].fd, "daemon");
	return 1;
}
