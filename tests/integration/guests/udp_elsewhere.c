/* SPDX-License-Identifier: BSD-3-Clause */
/* udp_elsewhere IP PORT: goes into another network namespace with the socket that it has bound, and
 * sends datagrams back to where they came from. Prints "answered" behind each.
 */
#include <sched.h>

#include "guest.h"

int main(int argc, char **argv)
{
	int fd;

	if (argc != 3)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = guest_udp(argv[1], (uint16_t)strtoul(argv[2], NULL, 10));
	if (unshare(CLONE_NEWNET) < 0)
		guest_die("unshare");
	puts("ready");
	for (;;) {
		guest_echo(fd);
		puts("answered");
	}
}
