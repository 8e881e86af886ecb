/* SPDX-License-Identifier: BSD-3-Clause */
#include "state/bpfsys.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int bpfsys(enum bpf_cmd cmd, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return r < 0 ? -errno : (int)r;
}

static uint64_t pointer(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

int bpfsys_obj_get(const char *path, uint32_t flags, int *ret_fd)
{
	union bpf_attr attr;
	int fd;

	/* The kernel refuses non-zero bytes behind what it knows, so all of it is cleared. */
	memset(&attr, 0, sizeof(attr));
	attr.pathname = pointer(path);
	attr.file_flags = flags;

	fd = bpfsys(BPF_OBJ_GET, &attr); /* always close-on-exec */
	if (fd < 0)
		return fd;

	*ret_fd = fd;
	return 0;
}

int bpfsys_map_lookup(int fd, const void *key, void *value)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)fd;
	attr.key = pointer(key);
	attr.value = pointer(value);

	return bpfsys(BPF_MAP_LOOKUP_ELEM, &attr);
}

int bpfsys_map_update(int fd, const void *key, const void *value, uint64_t flags)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)fd;
	attr.key = pointer(key);
	attr.value = pointer(value);
	attr.flags = flags;

	return bpfsys(BPF_MAP_UPDATE_ELEM, &attr);
}

int bpfsys_map_delete(int fd, const void *key)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)fd;
	attr.key = pointer(key);

	return bpfsys(BPF_MAP_DELETE_ELEM, &attr);
}

int bpfsys_map_info(int fd, struct bpf_map_info *ret_info)
{
	struct bpf_map_info info;
	union bpf_attr attr;
	int r;

	memset(&info, 0, sizeof(info));
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = pointer(&info);

	r = bpfsys(BPF_OBJ_GET_INFO_BY_FD, &attr);
	if (r < 0)
		return r;

	*ret_info = info;
	return 0;
}
