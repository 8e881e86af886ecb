/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/attachments.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/attachment_program.h"
#include "loader/bpffs.h"
#include "state/bpfsys.h"
#include "state/cleanup.h"
#include "state/parse.h"

#define FOLDER "attachments"

/* Behind the name of a pin that takes the place of another. */
#define FRESH "-new"

static const char *const pin_names[ATTACHMENT_PINS] = {
	[ATTACHMENT_RULES] = "rules",     [ATTACHMENT_STATE] = "state",
	[ATTACHMENT_HOLDER] = "holder",   [ATTACHMENT_PROGRAM] = "program",
	[ATTACHMENT_NOTE] = "note",       [ATTACHMENT_ANSWER4] = "answer4",
	[ATTACHMENT_ANSWER6] = "answer6", [ATTACHMENT_LINK] = "link",
};

/* ---- paths and pins ---- */

static int own(const struct dispatcher *d, const char *path, mode_t mode)
{
	return chown(path, (uid_t)-1, d->group) < 0 || chmod(path, mode) < 0 ? -errno : 0;
}

static int attachment_folder(const struct dispatcher *d, uint64_t cgroup, char ret[PATH_MAX])
{
	char name[64];

	snprintf(name, sizeof(name), FOLDER "/%" PRIu64, cgroup);
	return isomer_state_file(&d->st, name, ret);
}

static int make_folder(const struct dispatcher *d, const char *path)
{
	int r = bpffs_mkdir(path, 0700);

	return r < 0 ? r : own(d, path, 0750);
}

int attachment_folder_make(const struct dispatcher *d, uint64_t cgroup, char ret[PATH_MAX])
{
	char all[PATH_MAX];
	int r;

	r = isomer_state_file(&d->st, FOLDER, all);
	if (r == 0)
		r = make_folder(d, all);
	if (r == 0 || r == -EEXIST)
		r = attachment_folder(d, cgroup, ret);
	return r < 0 ? r : make_folder(d, ret);
}

static int pin_path(const char *folder, enum attachment_pin pin, const char *suffix,
		    char ret[PATH_MAX])
{
	return snprintf(ret, PATH_MAX, "%s/%s%s", folder, pin_names[pin], suffix) >= PATH_MAX
		       ? -ENAMETOOLONG
		       : 0;
}

int attachment_pin(const struct dispatcher *d, const char *folder, enum attachment_pin pin, int fd)
{
	char fresh[PATH_MAX], path[PATH_MAX];
	int r;

	r = pin_path(folder, pin, FRESH, fresh);
	if (r == 0)
		r = pin_path(folder, pin, "", path);
	if (r < 0)
		return r;
	if (unlink(fresh) < 0 && errno != ENOENT)
		return -errno;
	r = bpf_obj_pin(fd, fresh);
	if (r == 0)
		r = own(d, fresh, 0640);
	if (r < 0)
		return r;
	return rename(fresh, path) < 0 ? -errno : 0;
}

static int open_pin(const char *folder, enum attachment_pin pin, uint32_t flags, int *ret_fd)
{
	char path[PATH_MAX];
	int r = pin_path(folder, pin, "", path);

	return r < 0 ? r : bpfsys_obj_get(path, flags, ret_fd);
}

/* ---- all of them ---- */

/* Calls @visit with each folder. */
static int visit_folders(const struct dispatcher *d,
			 int (*visit)(const struct dispatcher *d, const char *folder, void *arg),
			 void *arg)
{
	CLEANUP_DIR DIR *dir = NULL;
	char path[PATH_MAX], folder[PATH_MAX];
	struct dirent *entry;
	uint64_t id;
	int r;

	r = isomer_state_file(&d->st, FOLDER, path);
	if (r < 0)
		return r;
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT || errno == EACCES ? 0 : -errno;
	while (r == 0 && (entry = readdir(dir))) {
		if (isomer_parse_number(entry->d_name, strlen(entry->d_name), UINT64_MAX, &id) < 0)
			continue;
		r = attachment_folder(d, id, folder);
		if (r == 0)
			r = visit(d, folder, arg);
	}
	return r;
}

/* The kernel detaches a program from a cgroup that is removed. Returns 1, 0 or -errno; a folder
 * without a link is one that never came to be. */
static int is_dead(const char *folder)
{
	CLEANUP_FD int fd = -1;
	struct bpf_link_info info = { 0 };
	uint32_t size = sizeof(info);
	int r = open_pin(folder, ATTACHMENT_LINK, 0, &fd);

	if (r < 0)
		return r == -ENOENT ? 1 : r;
	if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
		return -errno;
	return info.cgroup.cgroup_id == 0;
}

static int map_id(int fd, uint32_t *ret)
{
	struct bpf_map_info info;
	int r = bpfsys_map_info(fd, &info);

	if (r == 0)
		*ret = info.id;
	return r;
}

/* Does the attachment's program put sockets into the dispatcher's present slots? */
static int is_current(const struct dispatcher *d, const char *folder)
{
	CLEANUP_FD int fd = -1;
	uint32_t ids[16], wanted = 0, size;
	struct bpf_prog_info info = { .map_ids = (uint64_t)(uintptr_t)ids,
				      .nr_map_ids = sizeof(ids) / sizeof(ids[0]) };
	int r;

	r = open_pin(folder, ATTACHMENT_PROGRAM, BPF_F_RDONLY, &fd);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = map_id(d->sockets_fd, &wanted);
	if (r < 0)
		return r;
	size = sizeof(info);
	if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
		return -errno;
	for (uint32_t i = 0; i < info.nr_map_ids && i < sizeof(ids) / sizeof(ids[0]); i++)
		if (ids[i] == wanted)
			return 1;
	return 0;
}

static int open_maps(const char *folder, struct attachment_maps *ret)
{
	int r = open_pin(folder, ATTACHMENT_RULES, 0, &ret->rules);

	if (r == 0)
		r = open_pin(folder, ATTACHMENT_STATE, 0, &ret->state);
	if (r == 0)
		r = open_pin(folder, ATTACHMENT_HOLDER, 0, &ret->holder);
	return r;
}

static void maps_done(struct attachment_maps *maps)
{
	cleanup_closep(&maps->rules);
	cleanup_closep(&maps->state);
	cleanup_closep(&maps->holder);
}

/* The link first: a writer that is killed between leaves a pin that is_current() finds old. */
static int renew(const struct dispatcher *d, const char *folder, void *arg)
{
	CLEANUP(maps_done) struct attachment_maps maps = { -1, -1, -1 };
	CLEANUP(attachment_program_freep) struct attachment_program *p = NULL;
	CLEANUP_FD int link = -1;
	int r;

	(void)arg;
	r = open_pin(folder, ATTACHMENT_LINK, 0, &link);
	if (r == 0)
		r = open_maps(folder, &maps);
	if (r == 0)
		r = attachment_program_load(d, &maps, &p);
	if (r < 0)
		return r;
	if (bpf_link_update(link, attachment_program_fd(p), NULL) < 0)
		return errno == ENOLINK ? 0 : -errno;
	return attachment_pin(d, folder, ATTACHMENT_PROGRAM, attachment_program_fd(p));
}

int attachments_renew(const struct dispatcher *d)
{
	return visit_folders(d, renew, NULL);
}

static int repair(const struct dispatcher *d, const char *folder, void *arg)
{
	int r = is_dead(folder);

	if (r > 0)
		return bpffs_remove(folder);
	if (r == 0)
		r = is_current(d, folder);
	return r == 0 ? renew(d, folder, arg) : r < 0 ? r : 0;
}

int attachments_repair(const struct dispatcher *d)
{
	return visit_folders(d, repair, NULL);
}

/* At once, and not when the kernel gets round to freeing the link. */
static int detach(const char *folder, enum attachment_pin pin)
{
	CLEANUP_FD int fd = -1;
	int r = open_pin(folder, pin, 0, &fd);

	if (r < 0)
		return r;
	return bpf_link_detach(fd) < 0 && errno != ENOLINK ? -errno : 0;
}

int attachment_remove(const struct dispatcher *d, uint64_t cgroup)
{
	static const enum attachment_pin answers[] = { ATTACHMENT_NOTE, ATTACHMENT_ANSWER4,
						       ATTACHMENT_ANSWER6 };
	char folder[PATH_MAX];
	int r;

	r = attachment_folder(d, cgroup, folder);
	if (r == 0)
		r = detach(folder, ATTACHMENT_LINK);
	for (size_t i = 0; r == 0 && i < sizeof(answers) / sizeof(answers[0]); i++) {
		r = detach(folder, answers[i]);
		r = r == -ENOENT ? 0 : r;
	}
	return r < 0 ? r : bpffs_remove(folder);
}

/* ---- looking ---- */

static int read_state(const char *folder, struct isomer_attachment *ret)
{
	CLEANUP_FD int fd = -1;
	uint32_t key = 0;
	int r = open_pin(folder, ATTACHMENT_STATE, BPF_F_RDONLY, &fd);

	return r < 0 ? r : bpfsys_map_lookup(fd, &key, ret);
}

struct used {
	bool *ids;
	uint32_t n;
};

static int mark(const struct dispatcher *d, const char *folder, void *arg)
{
	const struct used *used = arg;
	struct isomer_attachment_rule rule;
	struct isomer_attachment state;
	CLEANUP_FD int fd = -1;
	int r;

	(void)d;
	r = read_state(folder, &state);
	if (r == 0)
		r = open_pin(folder, ATTACHMENT_RULES, BPF_F_RDONLY, &fd);
	for (uint32_t i = 0; r == 0 && i < state.rules; i++) {
		r = bpfsys_map_lookup(fd, &i, &rule);
		for (int k = 0; r == 0 && k < 2; k++)
			if (rule.destination[k] < used->n)
				used->ids[rule.destination[k]] = true;
	}
	return r == -ENOENT ? 0 : r; /* removed meanwhile, or never made */
}

int attachments_mark(const struct dispatcher *d, bool *ids, uint32_t n)
{
	return visit_folders(d, mark, &(struct used){ ids, n });
}

struct viewer {
	void (*visit)(const struct isomer_attachment *a, bool dead, void *arg);
	void *arg;
};

static int view(const struct dispatcher *d, const char *folder, void *arg)
{
	const struct viewer *viewer = arg;
	struct isomer_attachment state;
	int dead, r;

	(void)d;
	r = read_state(folder, &state);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	/* Opening a link takes more rights than looking at the state. */
	dead = is_dead(folder);
	if (dead < 0 && dead != -EACCES && dead != -EPERM)
		return dead;
	viewer->visit(&state, dead > 0, viewer->arg);
	return 0;
}

int attachments_visit(const struct dispatcher *d,
		      void (*visit)(const struct isomer_attachment *a, bool dead, void *arg),
		      void *arg)
{
	return visit_folders(d, view, &(struct viewer){ visit, arg });
}
