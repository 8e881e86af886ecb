/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/reload_record.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "state/bpfsys.h"
#include "state/cleanup.h"

#define PIN "reloads"

static const uint32_t zero;

/* One that another version has written, of another size, is as good as none. */
static int read_map(int fd, struct reload_record *ret)
{
	struct bpf_map_info info;
	int r;

	r = bpfsys_map_info(fd, &info);
	if (r < 0)
		return r;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size != sizeof(*ret))
		return -ENOENT;
	return bpfsys_map_lookup(fd, &zero, ret);
}

static int unpin(const struct dispatcher *d)
{
	char path[ISOMER_PATH_SIZE];
	int r = isomer_state_file(&d->st, PIN, path);

	if (r < 0)
		return r;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* Pinned when it is written: nobody reads it without a value. */
static int make(const struct dispatcher *d, const struct reload_record *record)
{
	CLEANUP_FD int fd =
		bpf_map_create(BPF_MAP_TYPE_ARRAY, PIN, sizeof(zero), sizeof(*record), 1, NULL);
	int r;

	if (fd < 0)
		return -errno;
	r = bpfsys_map_update(fd, &zero, record, BPF_ANY);
	if (r == 0)
		r = unpin(d);
	return r < 0 ? r : dispatcher_pin(d, PIN, fd, 0640);
}

static int add(const struct dispatcher *d, bool successful)
{
	struct reload_record record = { .applied = 0 };
	CLEANUP_FD int fd = -1;
	int r;

	r = dispatcher_open_pin(d, PIN, DISPATCHER_WRITE, &fd);
	if (r == 0)
		r = read_map(fd, &record);
	if (r < 0 && r != -ENOENT)
		return r;

	record.applied += successful;
	record.failed += !successful;
	record.successful = successful;
	if (successful)
		record.applied_at = (uint64_t)time(NULL);
	return r == -ENOENT ? make(d, &record) : bpfsys_map_update(fd, &zero, &record, BPF_ANY);
}

int reload_record_add(const char *bpffs, const struct netns *ns, bool successful)
{
	CLEANUP(dispatcher_close) struct dispatcher d = DISPATCHER_NONE;
	int r = dispatcher_open(bpffs, ns, DISPATCHER_READ, &d, NULL);

	return r < 0 ? r : add(&d, successful);
}

int reload_record_read(const struct dispatcher *d, struct reload_record *ret)
{
	CLEANUP_FD int fd = -1;
	int r = dispatcher_open_pin(d, PIN, DISPATCHER_READ, &fd);

	return r < 0 ? r : read_map(fd, ret);
}

void reload_record_remove(const char *bpffs, const struct netns *ns)
{
	CLEANUP(dispatcher_close) struct dispatcher d = DISPATCHER_NONE;

	if (dispatcher_open(bpffs, ns, DISPATCHER_READ, &d, NULL) == 0)
		(void)unpin(&d);
}

void reload_record_json(const struct reload_record *record, struct json *j)
{
	if (!record) {
		json_text(j, "watched_file", NULL);
		return;
	}
	json_object(j, "watched_file");
	json_number(j, "applied", record->applied);
	json_number(j, "failed", record->failed);
	json_number(j, "applied_at", record->applied_at);
	json_boolean(j, "in_force", record->successful);
	json_close_object(j);
}
