/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/dispatcher.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "loader/bpffs.h"
#include "loader/leftover.h"
#include "loader/lock.h"
#include "loader/program.h"
#include "loader/upgrade.h"
#include "state/bpfsys.h"
#include "state/cleanup.h"

/* Everybody may search the folder, so that guests get at their label; the rest is the owner's. */
#define FOLDER_MODE 0711

static int obj_info(int fd, void *info, uint32_t size)
{
	memset(info, 0, size);
	return bpf_obj_get_info_by_fd(fd, info, &size);
}

static int open_in(const char *folder, const char *name, uint32_t flags, int *ret_fd)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return bpfsys_obj_get(path, flags, ret_fd);
}

/* Is the program pinned as @name the one with @id? Returns 0, -ESTALE if not, or -errno. */
static int check_program(const char *folder, const char *name, uint32_t id)
{
	CLEANUP_FD int fd = -1;
	struct bpf_prog_info info;
	int r;

	r = open_in(folder, name, BPF_F_RDONLY, &fd);
	if (r < 0)
		return r == -ENOENT ? -ESTALE : r;
	r = obj_info(fd, &info, sizeof(info));
	if (r < 0)
		return r;
	return info.id == id ? 0 : -ESTALE;
}

/* How often a reader looks again when an upgrade is faster. */
#define ATTEMPTS 5

/* A link outlives its namespace, and then says that its namespace has inode 0. */
static int check_attached(const char *folder, uint64_t netns_inode)
{
	CLEANUP_FD int link_fd = -1;
	struct bpf_link_info link;
	int r;

	r = open_in(folder, ISOMER_PIN_LINK, 0, &link_fd);
	if (r < 0)
		return r == -ENOENT ? -ESTALE : r;
	r = obj_info(link_fd, &link, sizeof(link));
	if (r < 0)
		return r;
	if (link.type != BPF_LINK_TYPE_NETNS || link.netns.netns_ino != netns_inode)
		return -ESTALE;

	/* While a program is replaced, and when that was killed, the link may have either. */
	r = check_program(folder, ISOMER_PIN_PROGRAM, link.prog_id);
	if (r == -ESTALE)
		r = check_program(folder, UPGRADE_DIR "/" ISOMER_PIN_PROGRAM, link.prog_id);
	return r;
}

int dispatcher_check_attached(const char *folder, uint64_t netns_inode)
{
	int r = -ESTALE;

	/* Link and program are read one after the other. */
	for (int i = 0; r == -ESTALE && i < ATTEMPTS; i++)
		r = check_attached(folder, netns_inode);
	return r;
}

/* ---- load ---- */

static int own(const char *path, gid_t group, mode_t mode)
{
	if (chown(path, (uid_t)-1, group) < 0)
		return -errno;
	return chmod(path, mode) < 0 ? -errno : 0;
}

static int pin_in(const char *folder, const char *name, int fd, gid_t group, mode_t mode)
{
	char path[PATH_MAX];
	int r;

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	r = bpf_obj_pin(fd, path);
	if (r < 0)
		return r;
	return own(path, group, mode);
}

static int write_info(const struct program *program, const struct netns *ns,
		      uint32_t max_destinations)
{
	struct isomer_info info = {
		.magic = ISOMER_MAGIC,
		.schema = ISOMER_SCHEMA,
		.netns_cookie = ns->cookie,
		.netns_inode = ns->inode,
		.max_destinations = max_destinations,
		.version = ISOMER_VERSION,
	};
	uint32_t key = 0;

	return bpfsys_map_update(program_map_fd(program, PROGRAM_INFO), &key, &info, BPF_ANY);
}

static int pin_all(const char *folder, const struct program *program, int vacant_fd, int link_fd,
		   gid_t group)
{
	const struct {
		const char *name;
		int fd;
		mode_t mode;
	} pins[] = {
		{ ISOMER_PIN_INFO, program_map_fd(program, PROGRAM_INFO), 0644 },
		{ ISOMER_PIN_DESTINATIONS, program_map_fd(program, PROGRAM_DESTINATIONS), 0644 },
		{ ISOMER_PIN_RULESET, program_map_fd(program, PROGRAM_RULESET), 0640 },
		{ ISOMER_PIN_PAGES, program_map_fd(program, PROGRAM_PAGES), 0640 },
		{ ISOMER_PIN_SOCKETS, program_map_fd(program, PROGRAM_SOCKETS), 0640 },
		{ ISOMER_PIN_METRICS, program_map_fd(program, PROGRAM_METRICS), 0640 },
		{ ISOMER_PIN_PROGRAM, program_fd(program), 0640 },
		{ DISPATCHER_PIN_VACANT, vacant_fd, 0600 },
		{ ISOMER_PIN_LINK, link_fd, 0640 },
	};

	for (size_t i = 0; i < sizeof(pins) / sizeof(pins[0]); i++) {
		int r = pin_in(folder, pins[i].name, pins[i].fd, group, pins[i].mode);

		if (r < 0)
			return r;
	}
	return 0;
}

static int make_folders(const char *folder)
{
	static const struct {
		const char *name;
		unsigned mode;
	} folders[] = {
		{ ISOMER_DIR_LOCK, 0700 },
		{ ISOMER_DIR_LABELS, FOLDER_MODE },
		{ DISPATCHER_DIR_STAGING, 0700 },
	};
	char path[PATH_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(folders) / sizeof(folders[0]); i++) {
		if (snprintf(path, sizeof(path), "%s/%s", folder, folders[i].name) >=
		    (int)sizeof(path))
			return -ENAMETOOLONG;
		r = bpffs_mkdir(path, folders[i].mode);
	}
	return r;
}

/* More descriptors than are ever open at once, which is when slot maps of many labels are made. */
#define DESCRIPTORS 4096

/* Before 5.11 maps are charged to the locked memory of the process. */
static void lift_limits(void)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit files = { DESCRIPTORS, DESCRIPTORS }, now;

	(void)setrlimit(RLIMIT_MEMLOCK, &unlimited);
	if (getrlimit(RLIMIT_NOFILE, &now) < 0 || now.rlim_cur >= DESCRIPTORS)
		return;
	if (now.rlim_max > DESCRIPTORS)
		files.rlim_max = now.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		(void)setrlimit(RLIMIT_NOFILE, &(struct rlimit){ now.rlim_max, now.rlim_max });
}

/* By our own namespace, which netns_enter() has made that one: the path that the user gave may be
 * out of reach since capabilities were dropped. */
static int attach(const struct program *program, int *ret_link_fd)
{
	CLEANUP_FD int netns_fd = open(NETNS_SELF, O_RDONLY | O_CLOEXEC);
	int fd;

	if (netns_fd < 0)
		return -errno;
	fd = bpf_link_create(program_fd(program), netns_fd, BPF_SK_LOOKUP, NULL);
	if (fd < 0)
		return -errno;
	*ret_link_fd = fd;
	return 0;
}

int slots_create(int *ret_fd)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "slots", sizeof(uint32_t), sizeof(uint64_t),
				ISOMER_SLOTS, NULL);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int build(const char *folder, const struct netns *ns,
		 const struct dispatcher_options *options)
{
	CLEANUP(program_freep) struct program *program = NULL;
	CLEANUP_FD int vacant_fd = -1, link_fd = -1;
	int r;

	r = program_load(options->max_destinations, NULL, &program);
	if (r == 0)
		r = write_info(program, ns, options->max_destinations);
	if (r == 0)
		r = slots_create(&vacant_fd);
	if (r == 0)
		r = attach(program, &link_fd);
	if (r == 0)
		r = pin_all(folder, program, vacant_fd, link_fd, options->group);
	if (r < 0)
		return r;
	return chmod(folder, FOLDER_MODE) < 0 ? -errno : 0;
}

/* How often somebody may be faster in making a folder where ours is to be. */
#define PLACE_ATTEMPTS 100

/* On a BPF filesystem that everybody may write to, anybody can put a folder there, again and again.
 * An exchange cannot be held off; before Linux 5.16 there is none. */
static int put_in_place(const char *bpffs, const struct netns *ns, const char *fresh,
			const char *path)
{
	char aside[PATH_MAX];
	enum leftover leftover;
	int r;

	for (int i = 0; i < PLACE_ATTEMPTS; i++) {
		if (renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EEXIST)
			return -errno;
		r = leftover_clear(bpffs, ns, path, &leftover, aside);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RENAME_EXCHANGE) < 0 ? -errno : 0;
}

int dispatcher_load(const char *bpffs, const struct netns *ns,
		    const struct dispatcher_options *options)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	CLEANUP_FD int claim_fd = -1;
	int r;

	r = isomer_state_path(bpffs, ns->inode, path);
	if (r < 0)
		return r;
	r = leftover_make(path, DISPATCHER_SUFFIX_NEW, fresh, &claim_fd);
	if (r < 0)
		return r;

	lift_limits();
	r = make_folders(fresh);
	if (r == 0)
		r = build(fresh, ns, options);
	if (r == 0)
		r = put_in_place(bpffs, ns, fresh, path);
	if (r < 0)
		(void)bpffs_remove(fresh);
	return r;
}

/* ---- open ---- */

int dispatcher_open_pin(const struct dispatcher *d, const char *name, enum dispatcher_mode mode,
			int *ret_fd)
{
	return open_in(d->st.path, name, mode == DISPATCHER_READ ? BPF_F_RDONLY : 0, ret_fd);
}

int dispatcher_pin(const struct dispatcher *d, const char *name, int fd, mode_t mode)
{
	return pin_in(d->st.path, name, fd, d->group, mode);
}

static int open_pins(struct dispatcher *d, enum dispatcher_mode mode)
{
	char path[PATH_MAX];
	struct stat sb;
	int r;

	r = dispatcher_open_pin(d, ISOMER_PIN_RULESET, mode, &d->ruleset_fd);
	if (r == 0)
		r = dispatcher_open_pin(d, ISOMER_PIN_PAGES, mode, &d->pages_fd);
	if (r == 0)
		r = dispatcher_open_pin(d, ISOMER_PIN_DESTINATIONS, mode, &d->destinations_fd);
	if (r == 0)
		r = dispatcher_open_pin(d, ISOMER_PIN_SOCKETS, mode, &d->sockets_fd);
	if (r == 0)
		r = dispatcher_open_pin(d, ISOMER_PIN_METRICS, mode, &d->metrics_fd);
	if (r == 0)
		r = isomer_state_file(&d->st, ISOMER_PIN_RULESET, path);
	if (r < 0)
		return r;
	if (stat(path, &sb) < 0)
		return -errno;

	d->group = sb.st_gid;
	return 0;
}

/* A reader that may not open the link has to be content with the cookie. */
static int check_alive(const struct dispatcher *d, const struct netns *ns,
		       enum dispatcher_mode mode)
{
	int r;

	if (isomer_state_check_netns(&d->st, ns->cookie) == -EXDEV)
		return -ESTALE;
	r = dispatcher_check_attached(d->st.path, ns->inode);
	if (mode == DISPATCHER_READ && (r == -EACCES || r == -EPERM))
		return 0;
	return r;
}

static int open_locked(const char *bpffs, const struct netns *ns, enum dispatcher_mode mode,
		       struct dispatcher *d, pid_t *ret_holder)
{
	char path[PATH_MAX];
	int r;

	r = isomer_state_open(bpffs, ns->inode, &d->st);
	if (r < 0)
		return r;
	if (mode == DISPATCHER_WRITE) {
		r = isomer_state_file(&d->st, ISOMER_DIR_LOCK, path);
		if (r == 0)
			r = lock_take(path, lock_wait_seconds, &d->lock_fd, ret_holder);
		if (r < 0)
			return r;
		lift_limits();
	}
	/* Only now: the former writer may have unloaded it. */
	r = check_alive(d, ns, mode);
	if (r == 0 && mode == DISPATCHER_WRITE)
		r = upgrade_repair(d->st.path);
	/* Again: an upgrade, also one that was just finished, puts another `info` in place. */
	if (r == 0)
		r = isomer_state_open(bpffs, ns->inode, &d->st);
	if (r < 0)
		return r;
	return open_pins(d, mode);
}

/* An upgrade to more room puts other maps in place, `info` last. Returns 0, or -EAGAIN when what
 * was opened may be partly of before. */
static int check_unchanged(const char *bpffs, const struct netns *ns, const struct dispatcher *d)
{
	struct isomer_state now;
	int r = isomer_state_open(bpffs, ns->inode, &now);

	if (r < 0)
		return r;
	return memcmp(&now.info, &d->st.info, sizeof(now.info)) ? -EAGAIN : 0;
}

int dispatcher_open(const char *bpffs, const struct netns *ns, enum dispatcher_mode mode,
		    struct dispatcher *ret, pid_t *ret_holder)
{
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < ATTEMPTS; i++) {
		struct dispatcher d = DISPATCHER_NONE;

		r = open_locked(bpffs, ns, mode, &d, ret_holder);
		if (r == 0 && mode == DISPATCHER_READ)
			r = check_unchanged(bpffs, ns, &d);
		if (r == 0) {
			*ret = d;
			return 0;
		}
		dispatcher_close(&d);
	}
	return r;
}

void dispatcher_close(struct dispatcher *d)
{
	cleanup_closep(&d->ruleset_fd);
	cleanup_closep(&d->pages_fd);
	cleanup_closep(&d->destinations_fd);
	cleanup_closep(&d->sockets_fd);
	cleanup_closep(&d->metrics_fd);
	cleanup_closep(&d->lock_fd);
	*d = DISPATCHER_NONE;
}

/* ---- unload ---- */

/* At once, and not when the kernel gets round to freeing the link. */
static int detach(const struct dispatcher *d)
{
	CLEANUP_FD int fd = -1;
	int r = dispatcher_open_pin(d, ISOMER_PIN_LINK, DISPATCHER_WRITE, &fd);

	if (r < 0)
		return r;
	return bpf_link_detach(fd) < 0 ? -errno : 0;
}

int dispatcher_unload(const struct dispatcher *d)
{
	char aside[PATH_MAX];
	int r;

	/* From here on the state is dead, and whoever is killed behind this line leaves something
	 * that the next `load` removes. */
	r = detach(d);
	if (r == 0)
		r = bpffs_unique(d->st.path, DISPATCHER_SUFFIX_OLD, aside);
	return r < 0 ? r : leftover_remove(d->st.path, aside);
}
