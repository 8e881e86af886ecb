/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/notify.h"

#include <stdlib.h>
#include <systemd/sd-daemon.h>

#include "loader/late_library.h"

#define LIBRARY "libsystemd.so.0"

int notify_manager(const char *state)
{
	__typeof__(sd_notify) *notify;
	const struct late_function function = { "sd_notify", &notify };
	int r;

	if (!getenv("NOTIFY_SOCKET"))
		return 0;
	r = late_library_open(LIBRARY, &function, 1);
	if (r < 0)
		return r;
	r = notify(0, state);
	return r < 0 ? r : 0;
}
