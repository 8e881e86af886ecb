/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/system_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "state/cleanup.h"

int system_file_read(const char *path, char ret[SYSTEM_FILE_SIZE])
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, ret, SYSTEM_FILE_SIZE - 1);
	if (n < 0)
		return -errno;
	ret[n] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return 0;
}
