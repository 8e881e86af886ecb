/* SPDX-License-Identifier: BSD-3-Clause */
/* inherits: serves the listener that it was started with as descriptor 3. Never calls bind() or
 * listen().
 */
#include "guest.h"

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	for (;;)
		guest_serve_one(3, "inherits");
}
