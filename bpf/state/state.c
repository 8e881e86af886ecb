/* SPDX-License-Identifier: BSD-3-Clause */
#include "state/state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "state/bpfsys.h"
#include "state/cleanup.h"

#ifndef BPF_FS_MAGIC
#define BPF_FS_MAGIC 0xcafe4a11
#endif

int isomer_state_path(const char *bpffs, uint64_t netns_inode, char ret_path[ISOMER_FOLDER_SIZE])
{
	int n = snprintf(ret_path, ISOMER_FOLDER_SIZE, "%s/%llu" ISOMER_FOLDER_SUFFIX, bpffs,
			 (unsigned long long)netns_inode);

	return n < 0 || n >= ISOMER_FOLDER_SIZE ? -ENAMETOOLONG : 0;
}

int isomer_state_file(const struct isomer_state *st, const char *name,
		      char ret_path[ISOMER_PATH_SIZE])
{
	int n = snprintf(ret_path, ISOMER_PATH_SIZE, "%s/%s", st->path, name);

	return n < 0 || n >= ISOMER_PATH_SIZE ? -ENAMETOOLONG : 0;
}

int isomer_netns_inode(const char *path, uint64_t *ret_inode)
{
	struct stat sb;

	if (stat(path ? path : "/proc/thread-self/ns/net", &sb) < 0)
		return -errno;

	*ret_inode = sb.st_ino;
	return 0;
}

static int check_bpffs(const char *bpffs)
{
	struct statfs sfs;

	if (statfs(bpffs, &sfs) < 0)
		return -errno;
	return (uint32_t)sfs.f_type == BPF_FS_MAGIC ? 0 : -EMEDIUMTYPE;
}

/* On a BPF filesystem that everybody may write to, anybody can make the folder in advance. */
static int check_owner(const char *path)
{
	CLEANUP_FD int fd = -1;
	struct stat sb;

	fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOTDIR || errno == ELOOP ? -EPERM : -errno;
	if (fstat(fd, &sb) < 0)
		return -errno;
	if ((sb.st_uid != 0 && sb.st_uid != geteuid()) || (sb.st_mode & (S_IWGRP | S_IWOTH)))
		return -EPERM;
	return 0;
}

static int read_info(const struct isomer_state *st, struct isomer_info *ret)
{
	CLEANUP_FD int fd = -1;
	struct bpf_map_info map;
	char path[ISOMER_PATH_SIZE];
	uint32_t key = 0;
	int r;

	r = isomer_state_file(st, ISOMER_PIN_INFO, path);
	if (r < 0)
		return r;
	r = bpfsys_obj_get(path, BPF_F_RDONLY, &fd);
	if (r < 0)
		return r == -ENOENT ? -EPROTO : r;
	r = bpfsys_map_info(fd, &map);
	if (r < 0)
		return r;
	if (map.type != BPF_MAP_TYPE_ARRAY || map.value_size != sizeof(*ret))
		return -EPROTO;
	r = bpfsys_map_lookup(fd, &key, ret);
	if (r < 0)
		return r;
	return ret->magic == ISOMER_MAGIC && ret->schema == ISOMER_SCHEMA ? 0 : -EPROTO;
}

int isomer_state_open(const char *bpffs, uint64_t netns_inode, struct isomer_state *ret)
{
	struct isomer_info info;
	int r;

	r = check_bpffs(bpffs);
	if (r < 0)
		return r;
	r = isomer_state_path(bpffs, netns_inode, ret->path);
	if (r < 0)
		return r;
	r = check_owner(ret->path);
	if (r < 0)
		return r;
	r = read_info(ret, &info);
	if (r < 0)
		return r;

	ret->info = info;
	return 0;
}

int isomer_state_check_netns(const struct isomer_state *st, uint64_t netns_cookie)
{
	if (netns_cookie == 0 || st->info.netns_cookie == 0)
		return -EOPNOTSUPP;
	return netns_cookie == st->info.netns_cookie ? 0 : -EXDEV;
}
