/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/labels.h"

#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "loader/attachments.h"
#include "loader/batch.h"
#include "loader/grants.h"
#include "loader/label_files.h"
#include "loader/progress.h"
#include "state/bpfsys.h"
#include "state/cleanup.h"
#include "state/label.h"
#include "state/slots.h"

/* ---- ids ---- */

static int compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The lowest @n that no destination has. */
static int find_free_ids(const struct dispatcher *d, const struct destinations *set, size_t n,
			 uint32_t *ret)
{
	CLEANUP_FREE uint32_t *used = calloc(set->n + 1, sizeof(*used));
	size_t found = 0, next = 0;

	if (!used)
		return -ENOMEM;
	for (size_t i = 0; i < set->n; i++)
		used[i] = set->entries[i].id;
	qsort(used, set->n, sizeof(*used), compare_ids);

	for (uint32_t id = 0; found < n && id < d->st.info.max_destinations; id++) {
		if (next < set->n && used[next] == id)
			next++;
		else
			ret[found++] = id;
	}
	return found < n ? -ENOSPC : 0;
}

/* Whoever had the id before leaves no counts behind. */
static int clear_metrics(const struct dispatcher *d, uint32_t id)
{
	CLEANUP_FREE struct isomer_metrics *zero = NULL;
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 0)
		return cpus;
	zero = calloc((size_t)cpus, sizeof(*zero));
	if (!zero)
		return -ENOMEM;
	return bpfsys_map_update(d->metrics_fd, &id, zero, BPF_ANY);
}

/* ---- create and drop ---- */

static int compare_labels(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* @labels is sorted. */
static bool is_among(const char *label, const char *const *labels, size_t n)
{
	return bsearch(&label, labels, n, sizeof(*labels), compare_labels);
}

/* Puts the vacant slots in the place of those of @ids, with one grace period. */
static int vacate(const struct dispatcher *d, const uint32_t *ids, size_t n)
{
	CLEANUP_FREE uint32_t *values = calloc(n + 1, sizeof(*values));
	CLEANUP_FD int fd = -1;
	int r;

	if (!values)
		return -ENOMEM;
	r = dispatcher_open_pin(d, DISPATCHER_PIN_VACANT, DISPATCHER_WRITE, &fd);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		values[i] = (uint32_t)fd;
	return batch_write_u32(d->sockets_fd, ids, values, n);
}

/* Undoes labels, sorted, as far as they got; also their end, once their folders have left labels/.
 */
static int forget(const struct dispatcher *d, struct destinations *set, const char *const *labels,
		  size_t n)
{
	CLEANUP_FREE uint32_t *ids = calloc(set->n + 1, sizeof(*ids));
	size_t kept = 0, gone = 0;
	int r, failed = 0;

	if (!ids)
		return -ENOMEM;
	for (size_t i = 0; i < set->n; i++)
		if (is_among(set->entries[i].key.label, labels, n))
			ids[gone++] = set->entries[i].id;
	/* The slots first: an id without an entry may be given again. */
	failed = vacate(d, ids, gone);
	for (size_t i = 0; failed == 0 && i < set->n; i++) {
		const struct destination *entry = &set->entries[i];

		if (!is_among(entry->key.label, labels, n)) {
			set->entries[kept++] = *entry;
			continue;
		}
		r = bpfsys_map_delete(d->destinations_fd, &entry->key);
		if (r < 0 && r != -ENOENT)
			failed = r;
	}
	if (failed)
		return failed;

	set->n = kept;
	for (size_t i = 0; i < n; i++) {
		progress_count("removing labels", i, n);
		r = label_unstage(d, labels[i]);
		if (r < 0)
			failed = r;
	}
	progress_clear();
	return failed;
}

/* Labels on their way in: destination i belongs to label i / DESTINATIONS_OF_LABEL. */
struct arrivals {
	size_t n, n_ids;
	const char **labels;
	uint32_t *ids;
};

static void arrivals_done(struct arrivals *a)
{
	free(a->labels);
	free(a->ids);
}

/* Which of @labels are not there yet, each once. */
static int arrivals_init(struct arrivals *a, const struct destinations *set,
			 const char *const *labels, size_t n)
{
	size_t missing = 0;

	a->labels = calloc(n + 1, sizeof(*a->labels));
	a->ids = calloc(n + 1, DESTINATIONS_OF_LABEL * sizeof(*a->ids));
	if (!a->labels || !a->ids)
		return -ENOMEM;

	for (size_t i = 0; i < n; i++)
		if (!destinations_find(set, labels[i], label_parts[0].domain,
				       label_parts[0].protocol))
			a->labels[missing++] = labels[i];
	qsort(a->labels, missing, sizeof(*a->labels), compare_labels);
	for (size_t i = 0; i < missing; i++)
		if (i == 0 || strcmp(a->labels[i], a->labels[i - 1]))
			a->labels[a->n++] = a->labels[i];
	a->n_ids = a->n * DESTINATIONS_OF_LABEL;
	return 0;
}

/* Labels whose slot maps are open at once: half of what the kernel lets a process open by default.
 * Each crowd costs a grace period. */
#define CROWD 512

/* Some of them, and their slot maps; -1 where there is none yet. */
struct crowd {
	size_t n, n_ids;
	const char **labels;
	const uint32_t *ids;
	int fds[CROWD * DESTINATIONS_OF_LABEL];
};

static void crowd_done(struct crowd *c)
{
	for (size_t i = 0; i < c->n_ids; i++)
		cleanup_closep(&c->fds[i]);
}

static void crowd_init(struct crowd *c, const struct arrivals *a, size_t first)
{
	c->n = a->n - first < CROWD ? a->n - first : CROWD;
	c->n_ids = c->n * DESTINATIONS_OF_LABEL;
	c->labels = &a->labels[first];
	c->ids = &a->ids[first * DESTINATIONS_OF_LABEL];
	for (size_t i = 0; i < c->n_ids; i++)
		c->fds[i] = -1;
}

static int announce(const struct dispatcher *d, struct destinations *set, const struct crowd *c)
{
	CLEANUP_FREE struct destination *entries = calloc(c->n_ids, sizeof(*entries));
	int r = 0;

	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_ids; i++) {
		const struct label_part *part = &label_parts[i % DESTINATIONS_OF_LABEL];

		destination_key_init(&entries[i].key, c->labels[i / DESTINATIONS_OF_LABEL],
				     part->domain, part->protocol);
		entries[i].id = c->ids[i];
	}
	r = destinations_add(set, entries, c->n_ids);
	for (size_t i = 0; r == 0 && i < c->n_ids; i++) {
		struct isomer_destination value = { .id = c->ids[i] };

		r = clear_metrics(d, c->ids[i]);
		if (r == 0)
			r = bpfsys_map_update(d->destinations_fd, &entries[i].key, &value,
					      BPF_NOEXIST);
	}
	return r;
}

static int stage(const struct dispatcher *d, const char *label, int fds[DESTINATIONS_OF_LABEL])
{
	struct label_pins pins = { .uid = geteuid(), .gid = getegid(), .mode = SLOTS_MODE };
	int r = label_create_slots(fds);

	memcpy(pins.fds, fds, sizeof(pins.fds));
	return r < 0 ? r : label_stage(d, label, false, &pins);
}

static int prepare(const struct dispatcher *d, struct destinations *set, const struct arrivals *a,
		   size_t first)
{
	CLEANUP(crowd_done) struct crowd c;
	int r = 0;

	crowd_init(&c, a, first);
	for (size_t i = 0; r == 0 && i < c.n; i++)
		r = stage(d, c.labels[i], &c.fds[i * DESTINATIONS_OF_LABEL]);
	if (r == 0)
		r = announce(d, set, &c);
	/* All of them together: one grace period. */
	return r < 0 ? r : batch_write_u32(d->sockets_fd, c.ids, (const uint32_t *)c.fds, c.n_ids);
}

static int bring_in(const struct dispatcher *d, struct destinations *set, const struct arrivals *a)
{
	int r = 0;

	for (size_t first = 0; r == 0 && first < a->n; first += CROWD) {
		progress_count("making labels", first, a->n);
		r = prepare(d, set, a, first);
	}
	progress_clear();
	for (size_t i = 0; r == 0 && i < a->n; i++)
		r = label_move(d, DISPATCHER_DIR_STAGING, ISOMER_DIR_LABELS, a->labels[i], -1);
	return r;
}

int labels_create(const struct dispatcher *d, struct destinations *set, const char *const *labels,
		  size_t n)
{
	CLEANUP(arrivals_done) struct arrivals a = { .n = 0 };
	int r;

	r = arrivals_init(&a, set, labels, n);
	if (r < 0 || a.n == 0)
		return r;
	r = find_free_ids(d, set, a.n_ids, a.ids);
	if (r < 0)
		return r;

	r = bring_in(d, set, &a);
	if (r == 0)
		return 0;
	for (size_t i = 0; i < a.n; i++)
		(void)label_move(d, ISOMER_DIR_LABELS, DISPATCHER_DIR_STAGING, a.labels[i], -1);
	(void)forget(d, set, a.labels, a.n);
	return r;
}

int labels_drop(const struct dispatcher *d, struct destinations *set, const char *const *labels,
		size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = label_move(d, ISOMER_DIR_LABELS, DISPATCHER_DIR_STAGING, labels[i], -1);
	return r < 0 ? r : forget(d, set, labels, n);
}

/* ---- collect ---- */

int destination_read_slots(const struct dispatcher *d, const struct isomer_destination_key *key,
			   uint64_t ret_cookies[ISOMER_SLOTS])
{
	CLEANUP_FD int fd = -1;
	char name[ISOMER_SLOTS_NAME_SIZE];
	int r;

	r = isomer_slots_name(key->label, key->domain, key->protocol, name);
	if (r == 0)
		r = dispatcher_open_pin(d, name, DISPATCHER_READ, &fd);
	return r < 0 ? r : isomer_slots_read(fd, ret_cookies);
}

static int has_live_slot(const struct dispatcher *d, const struct isomer_destination_key *key)
{
	uint64_t cookies[ISOMER_SLOTS];
	int r;

	r = destination_read_slots(d, key, cookies);
	if (r < 0)
		return r;
	for (int i = 0; i < ISOMER_SLOTS; i++)
		if (cookies[i])
			return 1;
	return 0;
}

/* Returns 1 if the label of the destinations @first and following is needed, 0 if not, -errno. */
static int is_needed(const struct dispatcher *d, const struct destination *first, const bool *bound)
{
	struct label_grant grant;
	int r;

	for (int i = 0; i < DESTINATIONS_OF_LABEL; i++)
		if (bound[first[i].id])
			return 1;
	r = label_read_grant(d, first->key.label, &grant);
	if (r < 0 || grant.granted)
		return r < 0 ? r : 1;
	for (int i = 0; i < DESTINATIONS_OF_LABEL; i++) {
		r = has_live_slot(d, &first[i].key);
		if (r != 0)
			return r;
	}
	return 0;
}

/* Up to the first NULL. */
static void strings_freep(char ***strings)
{
	for (size_t i = 0; *strings && (*strings)[i]; i++)
		free((*strings)[i]);
	free(*strings);
}

/* Puts the names of labels that are not needed into @gone, which has room for all. */
static int find_unneeded(const struct dispatcher *d, const struct destinations *set,
			 const bool *bound, char **gone, size_t *ret_n)
{
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; r >= 0 && i + DESTINATIONS_OF_LABEL <= set->n;
	     i += DESTINATIONS_OF_LABEL) {
		progress_count("looking at labels", i / DESTINATIONS_OF_LABEL,
			       set->n / DESTINATIONS_OF_LABEL);
		r = is_needed(d, &set->entries[i], bound);
		if (r == 0 && !(gone[n++] = strdup(set->entries[i].key.label)))
			r = -ENOMEM;
	}
	*ret_n = n;
	return r < 0 ? r : 0;
}

int labels_collect(const struct dispatcher *d, struct destinations *set,
		   const struct bindings *bindings)
{
	CLEANUP_FREE bool *bound = calloc(d->st.info.max_destinations, sizeof(*bound));
	CLEANUP(strings_freep) char **gone =
		calloc(set->n / DESTINATIONS_OF_LABEL + 1, sizeof(*gone));
	size_t n;
	int r;

	if (!bound || !gone)
		return -ENOMEM;
	r = attachments_mark(d, bound, d->st.info.max_destinations);
	if (r < 0)
		return r;
	for (size_t b = 0; b < bindings->n; b++)
		if (bindings->entries[b].destination < d->st.info.max_destinations)
			bound[bindings->entries[b].destination] = true;

	r = find_unneeded(d, set, bound, gone, &n);
	if (r == 0 && n > 0)
		r = labels_drop(d, set, (const char *const *)gone, n);
	progress_clear();
	return r;
}

/* ---- repair ---- */

static bool has_folder(const struct dispatcher *d, const char *label)
{
	char path[PATH_MAX];
	struct stat sb;

	return label_path(d, ISOMER_DIR_LABELS, label, -1, path) == 0 && stat(path, &sb) == 0;
}

/* What is staged for a label that is there is a grant on its way in; else the label itself is, or
 * was on its way out. */
static int repair_staged(const struct dispatcher *d, struct destinations *set, const char *label)
{
	if (has_folder(d, label))
		return label_repair_grant(d, set, label);
	return forget(d, set, &label, 1);
}

int labels_repair(const struct dispatcher *d)
{
	CLEANUP(destinations_done) struct destinations set = DESTINATIONS_NONE;
	CLEANUP_DIR DIR *dir = NULL;
	char path[PATH_MAX], label[ISOMER_LABEL_NAME_SIZE];
	struct dirent *entry;
	int r;

	r = isomer_state_file(&d->st, DISPATCHER_DIR_STAGING, path);
	if (r < 0)
		return r;
	r = label_unstage(d, NULL);
	if (r < 0)
		return r;
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (isomer_label_from_name(entry->d_name, label) < 0)
			continue;
		if (!set.entries) {
			r = destinations_read(d, &set);
			if (r < 0)
				return r;
		}
		r = repair_staged(d, &set, label);
		if (r < 0)
			return r;
	}
	return 0;
}
