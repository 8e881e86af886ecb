/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls that this library stands in front of, and nothing else. */
#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "preload/candidate.h"
#include "preload/real.h"
#include "preload/register.h"
#include "preload/start.h"
#include "preload/udp_kept.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT int listen(int fd, int backlog)
{
	const struct config *config = start_config();
	int saved = errno, r, ret;
	bool listens = false;

	if (config) {
		r = register_before_listen(config, fd, &listens);
		errno = r < 0 ? -r : saved;
		if (r < 0)
			return -1;
	}

	ret = real_listen(fd, backlog);
	if (ret < 0)
		return ret;

	saved = errno;
	r = 0;
	if (config)
		r = register_after_listen(config, fd, listens);
	else
		start_remember(fd);
	errno = r < 0 ? -r : saved;
	return r < 0 ? -1 : ret;
}

EXPORT int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	const struct config *config = start_config();
	int saved = errno, r, ret;

	/* They would be in the way of the program's own. */
	if (udp_kept_any())
		udp_kept_close(0);
	if (config) {
		r = register_before_bind(config, fd, addr, len);
		errno = r < 0 ? -r : saved;
		if (r < 0)
			return -1;
	}

	ret = real_bind(fd, addr, len);
	if (ret < 0)
		return ret;

	saved = errno;
	r = 0;
	if (config)
		r = register_after_bind(config, fd, addr, len);
	else if (candidate_port(addr, len) != 0)
		start_remember(fd);
	errno = r < 0 ? -r : saved;
	return r < 0 ? -1 : ret;
}
