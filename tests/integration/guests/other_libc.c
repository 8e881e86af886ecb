/* SPDX-License-Identifier: BSD-3-Clause */
/* other_libc: listens on 127.0.0.1:8080, prints "ready", and greets TCP clients as "musl". Built
 * with musl, whose dynamic linker cannot load a library of glibc.
 */
#include "guest.h"

int main(void)
{
	int fd = guest_tcp("127.0.0.1", 8080, false);

	if (listen(fd, 16) < 0)
		guest_die("listen");
	puts("ready");
	fflush(stdout);
	for (;;)
		guest_serve_one(fd, "musl");
}
