/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/inherited.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload/register.h"
#include "state/parse.h"

#define LISTEN_FDS_START 3 /* sd_listen_fds(3) */

static bool read_number(const char *name, uint64_t max, uint64_t *ret)
{
	const char *value = secure_getenv(name);

	return value && isomer_parse_number(value, strlen(value), max, ret) == 0;
}

static void register_systemd(const struct config *config)
{
	uint64_t pid, n;

	/* The variables outlive the process that they are for: its children see them too. */
	if (!read_number("LISTEN_PID", INT_MAX, &pid) || (pid_t)pid != getpid() ||
	    !read_number("LISTEN_FDS", INHERITED_MAX, &n))
		return;
	for (int i = 0; i < (int)n; i++)
		register_found(config, LISTEN_FDS_START + i);
}

size_t inherited_parse_nginx(const char *value, int ret_fds[INHERITED_MAX])
{
	size_t n = 0, len;
	uint64_t fd;

	for (; *value; value += len + 1) {
		len = strcspn(value, ";:");
		if (value[len] == '\0' || n == INHERITED_MAX ||
		    isomer_parse_number(value, len, INT_MAX, &fd) < 0)
			return 0;
		ret_fds[n++] = (int)fd;
	}
	return n;
}

static void register_nginx(const struct config *config)
{
	const char *value = secure_getenv("NGINX");
	int fds[INHERITED_MAX];
	size_t n;

	if (!value)
		return;
	n = inherited_parse_nginx(value, fds);
	for (size_t i = 0; i < n; i++)
		register_found(config, fds[i]);
}

void inherited_register(const struct config *config)
{
	register_systemd(config);
	register_nginx(config);
}
