/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/label_files.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* No label may hold a '='. */
#define ASIDE "="

/* "<folder>/<name>", with @part >= 0 the name of that part behind it. */
static int build_path(const struct dispatcher *d, const char *folder, const char *name, int part,
		      char ret[PATH_MAX])
{
	int n;

	if (part < 0)
		n = snprintf(ret, PATH_MAX, "%s/%s/%s", d->st.path, folder, name);
	else
		n = snprintf(ret, PATH_MAX, "%s/%s/%s/%s-%s", d->st.path, folder, name,
			     isomer_domain_name(label_parts[part].domain),
			     isomer_protocol_name(label_parts[part].protocol));
	return n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int label_path(const struct dispatcher *d, const char *folder, const char *label, int part,
	       char ret[PATH_MAX])
{
	char name[ISOMER_LABEL_NAME_SIZE];
	int r = isomer_label_to_name(label, name);

	return r < 0 ? r : build_path(d, folder, name, part, ret);
}

static int staged_path(const struct dispatcher *d, const char *label, bool aside, int part,
		       char ret[PATH_MAX])
{
	if (aside)
		return build_path(d, DISPATCHER_DIR_STAGING, ASIDE, part, ret);
	return label_path(d, DISPATCHER_DIR_STAGING, label, part, ret);
}

int label_create_slots(int ret_fds[DESTINATIONS_OF_LABEL])
{
	int r = 0;

	for (int i = 0; i < DESTINATIONS_OF_LABEL; i++)
		ret_fds[i] = -1;
	for (int i = 0; r == 0 && i < DESTINATIONS_OF_LABEL; i++)
		r = slots_create(&ret_fds[i]);
	return r;
}

/* The mode before the owner: afterwards it takes a capability. */
static int stage_part(const char *path, int part, const struct label_pins *pins)
{
	int r = bpf_obj_pin(pins->fds[part], path);

	if (r < 0)
		return r;
	if (chmod(path, pins->mode) < 0)
		return -errno;
	/* The file is ours already: with thousands of labels it is time saved. */
	if (pins->uid == geteuid() && pins->gid == getegid())
		return 0;
	return chown(path, pins->uid, pins->gid) < 0 ? -errno : 0;
}

int label_stage(const struct dispatcher *d, const char *label, bool aside,
		const struct label_pins *pins)
{
	char path[PATH_MAX];
	int r;

	r = staged_path(d, label, aside, -1, path);
	if (r == 0)
		r = bpffs_mkdir(path, LABEL_FOLDER_MODE);
	for (int i = 0; r == 0 && i < DESTINATIONS_OF_LABEL; i++) {
		r = staged_path(d, label, aside, i, path);
		if (r == 0)
			r = stage_part(path, i, pins);
	}
	return r;
}

int label_stage_commit(const struct dispatcher *d, const char *label)
{
	char source[PATH_MAX], target[PATH_MAX];
	int r;

	r = staged_path(d, label, true, -1, source);
	if (r == 0)
		r = staged_path(d, label, false, -1, target);
	if (r < 0)
		return r;
	return rename(source, target) < 0 ? -errno : 0;
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

	r = staged_path(d, label, !label, -1, path);
	return r < 0 ? r : bpffs_remove(path);
}
