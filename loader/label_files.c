/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/label_files.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/stat.h>

#include "loader/bpffs.h"
#include "state/label.h"
#include "state/parse.h"

#define LABEL_FOLDER_MODE 0711

const struct label_part label_parts[DESTINATIONS_OF_LABEL] = {
	{ AF_INET, IPPROTO_TCP },
	{ AF_INET, IPPROTO_UDP },
	{ AF_INET6, IPPROTO_TCP },
	{ AF_INET6, IPPROTO_UDP },
};

int label_path(const struct dispatcher *d, const char *folder, const char *label, int part,
	       char ret[PATH_MAX])
{
	char name[ISOMER_LABEL_NAME_SIZE];
	int n, r;

	r = isomer_label_to_name(label, name);
	if (r < 0)
		return r;
	if (part < 0)
		n = snprintf(ret, PATH_MAX, "%s/%s/%s", d->st.path, folder, name);
	else
		n = snprintf(ret, PATH_MAX, "%s/%s/%s/%s-%s", d->st.path, folder, name,
			     isomer_domain_name(label_parts[part].domain),
			     isomer_protocol_name(label_parts[part].protocol));
	return n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int stage_part(const struct dispatcher *d, const char *label, int part, int *ret_fd)
{
	char path[PATH_MAX];
	int r;

	*ret_fd = bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "slots", sizeof(uint32_t), sizeof(uint64_t),
				 ISOMER_SLOTS, NULL);
	if (*ret_fd < 0)
		return -errno;
	r = label_path(d, DISPATCHER_DIR_STAGING, label, part, path);
	if (r < 0)
		return r;
	r = bpf_obj_pin(*ret_fd, path);
	if (r < 0)
		return r;
	return chmod(path, SLOTS_MODE) < 0 ? -errno : 0;
}

int label_stage(const struct dispatcher *d, const char *label, int ret_fds[DESTINATIONS_OF_LABEL])
{
	char path[PATH_MAX];
	int r;

	for (int i = 0; i < DESTINATIONS_OF_LABEL; i++)
		ret_fds[i] = -1;
	r = label_path(d, DISPATCHER_DIR_STAGING, label, -1, path);
	if (r == 0)
		r = bpffs_mkdir(path, LABEL_FOLDER_MODE);
	for (int i = 0; r == 0 && i < DESTINATIONS_OF_LABEL; i++)
		r = stage_part(d, label, i, &ret_fds[i]);
	return r;
}

int label_move(const struct dispatcher *d, const char *from, const char *to, const char *label,
	       int part)
{
	char source[PATH_MAX], target[PATH_MAX];
	int r;

	r = label_path(d, from, label, part, source);
	if (r == 0)
		r = label_path(d, to, label, part, target);
	if (r < 0)
		return r;
	return rename(source, target) < 0 ? -errno : 0;
}

int label_unstage(const struct dispatcher *d, const char *label)
{
	char path[PATH_MAX];
	int r;

	r = label_path(d, DISPATCHER_DIR_STAGING, label, -1, path);
	return r < 0 ? r : bpffs_remove(path);
}
