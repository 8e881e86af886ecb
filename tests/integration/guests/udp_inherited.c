/* SPDX-License-Identifier: BSD-3-Clause */
/* udp_inherited: sends datagrams that come to the socket that it was started with as descriptor 3
 * back to where they came from. Never calls bind().
 */
#include "guest.h"

int main(void)
{
	puts("ready");
	fflush(stdout);
	for (;;)
		guest_echo(3);
}
