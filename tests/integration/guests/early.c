/* SPDX-License-Identifier: BSD-3-Clause */
/* early: listens on 127.0.0.1:8080 before any constructor has run, libc's included, so there is
 * not even an environment to be read. Prints "ready" and serves.
 */
#include "guest.h"

static int listener;

static void listen_early(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(8080) };

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(listener, 16) < 0)
		listener = -1;
}

__attribute__((section(".preinit_array"), used)) static void (*preinit)(void) = listen_early;

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (listener < 0)
		return 1;
	puts("ready");
	for (;;)
		guest_serve_one(listener, "early");
}
