/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/registrar_listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "state/cleanup.h"
#include "state/parse.h"

#define LISTEN_FDS_START 3

static int get_int(int fd, int option, int *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, option, ret, &len) < 0 ? -errno : 0;
}

static bool is_listener(int fd)
{
	int domain, type, listening;

	return get_int(fd, SO_DOMAIN, &domain) == 0 && domain == AF_UNIX &&
	       get_int(fd, SO_TYPE, &type) == 0 && type == SOCK_SEQPACKET &&
	       get_int(fd, SO_ACCEPTCONN, &listening) == 0 && listening;
}

static bool number_is(const char *variable, uint64_t expected)
{
	const char *text = getenv(variable);
	uint64_t number;

	return text && isomer_parse_number(text, strlen(text), UINT32_MAX, &number) == 0 &&
	       number == expected;
}

int registrar_inherit(int *ret_fd)
{
	if (!number_is("LISTEN_PID", (uint64_t)getpid()) || number_is("LISTEN_FDS", 0))
		return -ENOENT;
	if (!number_is("LISTEN_FDS", 1) || !is_listener(LISTEN_FDS_START))
		return -EINVAL;
	/* Workers wait in accept(). */
	if (fcntl(LISTEN_FDS_START, F_SETFL, 0) < 0 ||
	    fcntl(LISTEN_FDS_START, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;

	*ret_fd = LISTEN_FDS_START;
	return 0;
}

static int make_address(const char *path, struct sockaddr_un *ret)
{
	size_t len = strlen(path);

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (len >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	memcpy(ret->sun_path, path, len);
	return 0;
}

/* Is the place free, or left by a registrar that is gone? */
static int check_free(const char *path)
{
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;
	struct stat sb;
	int r;

	r = make_address(path, &address);
	if (r < 0)
		return r;
	if (lstat(path, &sb) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(sb.st_mode))
		return -EEXIST;
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN)
		return -EADDRINUSE;
	return errno == ECONNREFUSED || errno == ENOENT ? 0
	       : errno == EPROTOTYPE                    ? -EEXIST
							: -errno;
}

static int listen_at(const char *path, const struct registrar_place *place, int *ret_fd)
{
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	int r;

	if (fd < 0)
		return -errno;
	r = make_address(path, &address);
	if (r < 0)
		return r;
	/* Nobody can connect before listen(), whatever the umask makes of the mode. */
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	if ((place->has_group && lchown(path, (uid_t)-1, place->group) < 0) ||
	    chmod(path, place->mode) < 0 || listen(fd, SOMAXCONN) < 0 ||
	    rename(path, place->path) < 0) {
		r = -errno;
		(void)unlink(path);
		return r;
	}

	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* The folder of the default place is made, as nobody else does so. */
static int make_folder(const char *path)
{
	char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	size_t len = (size_t)(strrchr(path, '/') - path);

	if (len == 0 || len >= sizeof(folder))
		return 0;
	memcpy(folder, path, len);
	folder[len] = '\0';
	return mkdir(folder, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

int registrar_listen(const struct registrar_place *place, int *ret_fd)
{
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	uint32_t number;
	int r;

	r = check_free(place->path);
	if (r == 0)
		r = make_folder(place->path);
	if (r < 0)
		return r;
	/* A name that nobody can have taken before, then renamed into place. */
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -errno;
	if (snprintf(path, sizeof(path), "%s.%08x", place->path, number) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return listen_at(path, place, ret_fd);
}
