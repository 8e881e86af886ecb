/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/end_signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>

int end_signals(int *ret_fd)
{
	sigset_t end;
	int fd;

	sigemptyset(&end);
	sigaddset(&end, SIGINT);
	sigaddset(&end, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &end, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &end, SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}
