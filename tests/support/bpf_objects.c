/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "state/bpfsys.h"
#include "state/cleanup.h"
#include "support/bpf_objects.h"

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return r < 0 ? -errno : (int)r;
}

static int kind_of(int fd, enum object_kind *ret)
{
	char path[64], target[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (!strcmp(target, "anon_inode:bpf-map"))
		*ret = OBJECT_MAP;
	else if (!strcmp(target, "anon_inode:bpf-prog"))
		*ret = OBJECT_PROGRAM;
	else if (!strncmp(target, "anon_inode:bpf", 14)) /* "bpf_link" or "bpf-link" */
		*ret = OBJECT_LINK;
	else
		return -EBADF;
	return 0;
}

int object_open(const char *path, enum object_kind *ret_kind)
{
	CLEANUP_FD int fd = -1;
	int r;

	r = bpfsys_obj_get(path, BPF_F_RDONLY, &fd);
	if (r == -EINVAL || r == -EPERM || r == -EACCES)
		r = bpfsys_obj_get(path, 0, &fd);
	if (r == 0)
		r = kind_of(fd, ret_kind);
	return r < 0 ? r : TAKE_FD(fd);
}

static int object_info(int fd, void *info, uint32_t size)
{
	union bpf_attr attr;

	memset(info, 0, size);
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = size;
	attr.info.info = (uintptr_t)info;
	return bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
}

int object_program_info(int fd, struct bpf_prog_info *ret)
{
	return object_info(fd, ret, sizeof(*ret));
}

int object_link_info(int fd, struct bpf_link_info *ret)
{
	return object_info(fd, ret, sizeof(*ret));
}

uint32_t map_id_of(int fd)
{
	struct bpf_map_info info;

	assert_int_equal(bpfsys_map_info(fd, &info), 0);
	assert_int_not_equal(info.id, 0);
	return info.id;
}

bool map_is_frozen(int fd)
{
	char path[64], line[256];
	int frozen = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) && sscanf(line, "frozen: %d", &frozen) != 1)
		;
	fclose(f);
	return frozen;
}

int map_next_key(int fd, const void *key, void *ret_next)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)fd;
	attr.key = (uintptr_t)key;
	attr.next_key = (uintptr_t)ret_next;
	return bpf(BPF_MAP_GET_NEXT_KEY, &attr);
}

int object_next(enum object_kind kind, uint32_t id, uint32_t *ret_next)
{
	static const enum bpf_cmd commands[] = {
		[OBJECT_MAP] = BPF_MAP_GET_NEXT_ID,
		[OBJECT_PROGRAM] = BPF_PROG_GET_NEXT_ID,
		[OBJECT_LINK] = BPF_LINK_GET_NEXT_ID,
	};
	union bpf_attr attr;
	int r;

	memset(&attr, 0, sizeof(attr));
	attr.start_id = id;
	r = bpf(commands[kind], &attr);
	if (r == 0)
		*ret_next = attr.next_id;
	return r;
}

int object_open_id(enum object_kind kind, uint32_t id)
{
	static const enum bpf_cmd commands[] = {
		[OBJECT_MAP] = BPF_MAP_GET_FD_BY_ID,
		[OBJECT_PROGRAM] = BPF_PROG_GET_FD_BY_ID,
		[OBJECT_LINK] = BPF_LINK_GET_FD_BY_ID,
	};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_id = id; /* as the others' */
	return bpf(commands[kind], &attr);
}

int object_program_maps(int fd, uint32_t *ret_ids, uint32_t max)
{
	struct bpf_prog_info info = { .nr_map_ids = max, .map_ids = (uintptr_t)ret_ids };
	union bpf_attr attr;
	int r;

	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	r = bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
	if (r < 0)
		return r;
	return (int)(info.nr_map_ids < max ? info.nr_map_ids : max);
}
