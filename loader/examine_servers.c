/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <isomer/library.h>

#include "loader/examine.h"
#include "loader/library.h"
#include "loader/system_file.h"

/* Not loaded: it would start, and register what it finds open. Returns 0, -ENODATA when it does not
 * say, or another negative errno. */
static int read_version(const char *path, char ret[SYSTEM_FILE_SIZE])
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat sb;
	const char *file, *mark, *begin;
	int r = -ENODATA;

	if (fd < 0 || fstat(fd, &sb) < 0)
		return -errno;
	file = mmap(NULL, (size_t)sb.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (file == MAP_FAILED)
		return -errno;
	mark = memmem(file, (size_t)sb.st_size, ISOMER_LIBRARY_MARK, strlen(ISOMER_LIBRARY_MARK));
	if (mark) {
		size_t left;

		begin = mark + strlen(ISOMER_LIBRARY_MARK);
		left = (size_t)(file + sb.st_size - begin);
		if (memchr(begin, '\0', left < SYSTEM_FILE_SIZE ? left : SYSTEM_FILE_SIZE)) {
			memcpy(ret, begin, strlen(begin) + 1);
			r = 0;
		}
	}
	(void)munmap((void *)file, (size_t)sb.st_size);
	return r;
}

static void examine_library(struct findings *f)
{
	char path[PATH_MAX], version[SYSTEM_FILE_SIZE];
	int r = library_find(path);

	if (r == 0)
		r = read_version(path, version);
	if (r == 0 && !strcmp(version, ISOMER_VERSION))
		findings_good(f, "library", "%.512s is of this version", path);
	else if (r == 0)
		findings_add(f, FINDING_NOTE, "library", "what servers do is what that version did",
			     "install the library of this version", "%.512s is of version %s", path,
			     version);
	else
		findings_add(f, FINDING_NOTE, "library",
			     "servers cannot register themselves: 'register-pid' and 'attach' can",
			     "install libisomer_preload.so beside isomer-loader",
			     "%.512s cannot be used: %s", path, strerror(-r));
}

static void examine_policies(struct findings *f)
{
	char text[SYSTEM_FILE_SIZE];

	if (system_file_read("/sys/fs/selinux/enforce", text) == 0 && !strcmp(text, "1"))
		findings_add(f, FINDING_NOTE, "selinux",
			     "servers in a domain without the class bpf cannot open their label's "
			     "maps",
			     "run 'isomer-loader registrar', or allow the domain bpf map_read and "
			     "map_write",
			     "SELinux enforces its policy");
	if (system_file_read("/sys/module/apparmor/parameters/enabled", text) == 0 &&
	    !strcmp(text, "Y"))
		findings_add(f, FINDING_NOTE, "apparmor",
			     "servers under a profile may be kept from library and maps",
			     "let their profile read libisomer_preload.so and /sys/fs/bpf, or "
			     "connect to /run/isomer/registrar.sock",
			     "AppArmor is in force");
}

void examine_servers(struct findings *f)
{
	examine_library(f);
	examine_policies(f);
}
