/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/notify.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

/* Opened by who is a service: each command of the loader would pay for it. */
#define LIBRARY "libsystemd.so.0"

int notify_manager(const char *state)
{
	__typeof__(sd_notify) *notify;
	void *library, *function;
	int r;

	if (!getenv("NOTIFY_SOCKET"))
		return 0;
	library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	function = library ? dlsym(library, "sd_notify") : NULL;
	if (!function)
		return -ELIBACC;
	memcpy(&notify, &function, sizeof(notify));
	r = notify(0, state);
	return r < 0 ? r : 0; /* the library stays open: there is more to tell */
}
