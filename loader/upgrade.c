/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/upgrade.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/batch.h"
#include "loader/bpffs.h"
#include "loader/destinations.h"
#include "loader/program.h"
#include "state/bpfsys.h"
#include "state/cleanup.h"
#include "state/slots.h"

static int path_of(const char *folder, const char *name, char ret[PATH_MAX])
{
	return snprintf(ret, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* ---- more room: what the new maps take over from the former ones ---- */

/* Slot maps that are open at once: half of what the kernel lets a process open by default. */
#define OPEN_SLOTS 2048

static int copy_some_sockets(const struct dispatcher *d, const struct destination *entries,
			     size_t n, int sockets_fd)
{
	uint32_t ids[OPEN_SLOTS];
	int fds[OPEN_SLOTS], r = 0;
	size_t opened = 0;

	for (; r == 0 && opened < n; opened += r == 0) {
		const struct isomer_destination_key *key = &entries[opened].key;

		ids[opened] = entries[opened].id;
		r = isomer_slots_open(&d->st, key->label, key->domain, key->protocol, &fds[opened]);
	}
	if (r == 0)
		r = batch_write_u32(sockets_fd, ids, (const uint32_t *)fds, n);
	for (size_t i = 0; i < opened; i++)
		close(fds[i]);
	return r;
}

static int copy_sockets(const struct dispatcher *d, const struct destinations *set, int sockets_fd)
{
	int r = 0;

	for (size_t first = 0; r == 0 && first < set->n; first += OPEN_SLOTS) {
		size_t left = set->n - first;

		r = copy_some_sockets(d, &set->entries[first],
				      left < OPEN_SLOTS ? left : OPEN_SLOTS, sockets_fd);
	}
	return r;
}

static int copy_destinations(const struct destinations *set, int destinations_fd)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < set->n; i++) {
		struct isomer_destination value = { .id = set->entries[i].id };

		r = bpfsys_map_update(destinations_fd, &set->entries[i].key, &value, BPF_NOEXIST);
	}
	return r;
}

/* Counters of all CPUs, for each destination of a set. */
struct counters {
	size_t cpus;
	struct isomer_metrics *values; /* @cpus for each destination */
};

static void counters_done(struct counters *c)
{
	free(c->values);
}

static int counters_read(int metrics_fd, const struct destinations *set, struct counters *ret)
{
	int cpus = libbpf_num_possible_cpus(), r = 0;

	if (cpus < 0)
		return cpus;
	ret->cpus = (size_t)cpus;
	ret->values = calloc((set->n + 1) * ret->cpus, sizeof(*ret->values));
	if (!ret->values)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < set->n; i++)
		r = bpfsys_map_lookup(metrics_fd, &set->entries[i].id, &ret->values[i * ret->cpus]);
	return r;
}

static int counters_write(int metrics_fd, const struct destinations *set, const struct counters *c)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < set->n; i++)
		r = bpfsys_map_update(metrics_fd, &set->entries[i].id, &c->values[i * c->cpus],
				      BPF_ANY);
	return r;
}

static void add_difference(struct isomer_metrics *sum, const struct isomer_metrics *before,
			   const struct isomer_metrics *after)
{
	sum->lookups += after->lookups - before->lookups;
	sum->misses += after->misses - before->misses;
	for (int e = 0; e < ISOMER_ERRORS; e++)
		sum->errors[e] += after->errors[e] - before->errors[e];
}

/* What the former program counted between the copy and its end. Packets that the new one counts
 * between reading and writing here are lost to the counters: a few on each CPU at most. */
static int counters_catch_up(int old_fd, int new_fd, const struct destinations *set,
			     const struct counters *copied)
{
	CLEANUP(counters_done) struct counters last = { 0 }, fresh = { 0 };
	int r;

	r = counters_read(old_fd, set, &last);
	if (r == 0)
		r = counters_read(new_fd, set, &fresh);
	if (r < 0)
		return r;
	for (size_t i = 0; i < set->n * copied->cpus; i++)
		if (memcmp(&last.values[i], &copied->values[i], sizeof(last.values[i])))
			add_difference(&fresh.values[i], &copied->values[i], &last.values[i]);
	return counters_write(new_fd, set, &fresh);
}

/* ---- preparing ---- */

struct preparation {
	char folder[PATH_MAX]; /* upgrading/ */
	bool resize;
	struct program *program;
	struct destinations destinations;
	struct counters copied;
};

static void preparation_done(struct preparation *p)
{
	program_free(p->program);
	destinations_done(&p->destinations);
	counters_done(&p->copied);
}

static int load(const struct dispatcher *d, uint32_t max_destinations, struct preparation *p)
{
	int info_fd = -1, r;
	int reuse[PROGRAM_MAPS] = { -1, d->ruleset_fd, d->pages_fd, -1, -1, -1 };

	r = dispatcher_open_pin(d, ISOMER_PIN_INFO, DISPATCHER_WRITE, &info_fd);
	if (r < 0)
		return r;
	if (!p->resize) {
		reuse[PROGRAM_INFO] = info_fd;
		reuse[PROGRAM_DESTINATIONS] = d->destinations_fd;
		reuse[PROGRAM_SOCKETS] = d->sockets_fd;
		reuse[PROGRAM_METRICS] = d->metrics_fd;
	}
	r = program_load(max_destinations, reuse, &p->program);
	close(info_fd);
	return r;
}

static int fill(const struct dispatcher *d, struct preparation *p)
{
	int r;

	r = destinations_read(d, &p->destinations);
	if (r == 0)
		r = copy_destinations(&p->destinations,
				      program_map_fd(p->program, PROGRAM_DESTINATIONS));
	if (r == 0)
		r = copy_sockets(d, &p->destinations, program_map_fd(p->program, PROGRAM_SOCKETS));
	if (r == 0)
		r = counters_read(d->metrics_fd, &p->destinations, &p->copied);
	if (r == 0)
		r = counters_write(program_map_fd(p->program, PROGRAM_METRICS), &p->destinations,
				   &p->copied);
	return r;
}

static int write_info(const struct dispatcher *d, const struct preparation *p, uint32_t max)
{
	struct isomer_info info = d->st.info;
	uint32_t key = 0;

	info.max_destinations = max;
	memset(info.version, 0, sizeof(info.version));
	snprintf(info.version, sizeof(info.version), "%s", ISOMER_VERSION);
	return bpfsys_map_update(program_map_fd(p->program, PROGRAM_INFO), &key, &info, BPF_ANY);
}

static int pin(const struct dispatcher *d, const char *name, int fd, mode_t mode)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), UPGRADE_DIR "/%s", name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return dispatcher_pin(d, path, fd, mode);
}

static int pin_maps(const struct dispatcher *d, const struct preparation *p)
{
	static const struct {
		const char *name;
		enum program_map map;
		mode_t mode;
	} pins[] = {
		{ ISOMER_PIN_INFO, PROGRAM_INFO, 0644 },
		{ ISOMER_PIN_DESTINATIONS, PROGRAM_DESTINATIONS, 0644 },
		{ ISOMER_PIN_SOCKETS, PROGRAM_SOCKETS, 0640 },
		{ ISOMER_PIN_METRICS, PROGRAM_METRICS, 0640 },
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(pins) / sizeof(pins[0]); i++)
		r = pin(d, pins[i].name, program_map_fd(p->program, pins[i].map), pins[i].mode);
	return r;
}

static int prepare(const struct dispatcher *d, uint32_t max_destinations, struct preparation *p)
{
	int r;

	r = isomer_state_file(&d->st, UPGRADE_DIR, p->folder);
	if (r == 0)
		r = load(d, max_destinations, p);
	if (r == 0)
		r = bpffs_mkdir(p->folder, 0700);
	if (r == 0)
		r = pin(d, ISOMER_PIN_PROGRAM, program_fd(p->program), 0640);
	if (r == 0 && p->resize)
		r = fill(d, p);
	if (r == 0 && p->resize)
		r = write_info(d, p, max_destinations);
	if (r == 0 && p->resize)
		r = pin_maps(d, p);
	return r;
}

/* ---- the step, and what comes behind it ---- */

static int swap_program(const struct dispatcher *d, int program_fd)
{
	CLEANUP_FD int link_fd = -1;
	int r;

	r = dispatcher_open_pin(d, ISOMER_PIN_LINK, DISPATCHER_WRITE, &link_fd);
	if (r < 0)
		return r;
	return bpf_link_update(link_fd, program_fd, NULL) < 0 ? -errno : 0;
}

static int move_in(const char *folder, const char *name)
{
	char fresh[PATH_MAX], staged[PATH_MAX], place[PATH_MAX];
	int r;

	r = path_of(folder, UPGRADE_DIR, fresh);
	if (r == 0)
		r = path_of(fresh, name, staged);
	if (r == 0)
		r = path_of(folder, name, place);
	if (r < 0)
		return r;
	return rename(staged, place) < 0 && errno != ENOENT ? -errno : 0;
}

static int finish(const char *folder)
{
	/* The program last: by its pin a killed upgrade is recognised. */
	static const char *const names[] = { ISOMER_PIN_DESTINATIONS, ISOMER_PIN_SOCKETS,
					     ISOMER_PIN_METRICS, ISOMER_PIN_INFO,
					     ISOMER_PIN_PROGRAM };
	char path[PATH_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(names) / sizeof(names[0]); i++)
		r = move_in(folder, names[i]);
	if (r == 0)
		r = path_of(folder, UPGRADE_DIR, path);
	return r < 0 ? r : bpffs_remove(path);
}

static int program_id(int fd, uint32_t *ret)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
		return -errno;
	*ret = info.id;
	return 0;
}

int upgrade_run(const struct dispatcher *d, uint32_t max_destinations, uint32_t *ret_program)
{
	CLEANUP(preparation_done) struct preparation p = { .program = NULL };
	uint32_t max = max_destinations ? max_destinations : d->st.info.max_destinations;
	int r;

	if (max < d->st.info.max_destinations)
		return -EINVAL;
	p.resize = max > d->st.info.max_destinations;

	r = prepare(d, max, &p);
	if (r == 0)
		r = swap_program(d, program_fd(p.program));
	if (r < 0) {
		(void)bpffs_remove(p.folder);
		return r;
	}

	if (p.resize)
		r = counters_catch_up(d->metrics_fd, program_map_fd(p.program, PROGRAM_METRICS),
				      &p.destinations, &p.copied);
	else
		r = write_info(d, &p, max);
	if (r == 0)
		r = finish(d->st.path);
	if (r == 0)
		r = program_id(program_fd(p.program), ret_program);
	return r;
}

int upgrade_repair(const char *folder)
{
	CLEANUP_FD int program = -1, link = -1;
	struct bpf_link_info info = { 0 };
	uint32_t size = sizeof(info), id = 0;
	char path[PATH_MAX], file[PATH_MAX];
	int r;

	r = path_of(folder, UPGRADE_DIR, path);
	if (r < 0 || access(path, F_OK) < 0)
		return r;
	r = path_of(path, ISOMER_PIN_PROGRAM, file);
	if (r == 0)
		r = bpfsys_obj_get(file, BPF_F_RDONLY, &program);
	if (r == -ENOENT)
		return bpffs_remove(path); /* killed before the first pin, or after the last */
	if (r == 0)
		r = program_id(program, &id);
	if (r == 0)
		r = path_of(folder, ISOMER_PIN_LINK, file);
	if (r == 0)
		r = bpfsys_obj_get(file, 0, &link);
	if (r < 0)
		return r;
	if (bpf_obj_get_info_by_fd(link, &info, &size) < 0)
		return -errno;

	return info.prog_id == id ? finish(folder) : bpffs_remove(path);
}
