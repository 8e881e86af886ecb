/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/batch.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "state/bpfsys.h"
#include "state/cleanup.h"

/* Entries of one command. The kernel copies each on its own, so more gains nothing. */
#define CHUNK 4096

#define ENOTSUPP 524 /* what the kernel says of map types without batches; no libc name */

static bool no_batches(int r)
{
	return r == -ENOTSUPP || r == -EOPNOTSUPP || r == -EINVAL;
}

static int write_batch(int fd, const uint32_t *keys, const void *values, uint32_t n)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	uint32_t count = n;

	return bpf_map_update_batch(fd, keys, values, &count, &options) < 0 ? -errno : 0;
}

static int write_chunk(int fd, const uint32_t *keys, const char *values, size_t size, uint32_t n)
{
	int r;

	r = write_batch(fd, keys, values, n);
	if (!no_batches(r))
		return r;

	r = 0;
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = bpfsys_map_update(fd, &keys[i], values + i * size, BPF_ANY);
	return r;
}

int batch_write_array(int fd, const void *values, size_t size, size_t n)
{
	uint32_t keys[CHUNK];

	for (size_t first = 0; first < n; first += CHUNK) {
		uint32_t count = n - first < CHUNK ? (uint32_t)(n - first) : CHUNK;
		int r;

		for (uint32_t i = 0; i < count; i++)
			keys[i] = (uint32_t)first + i;
		r = write_chunk(fd, keys, (const char *)values + first * size, size, count);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_one_by_one(int fd, char *values, size_t size, size_t n)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = bpfsys_map_lookup(fd, &i, values + i * size);
	return r;
}

/* The kernel's position is the last key that it gave. */
int batch_read_array(int fd, void *values, size_t size, size_t n)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	uint32_t keys[CHUNK], position;
	size_t done = 0;

	while (done < n) {
		uint32_t count = n - done < CHUNK ? (uint32_t)(n - done) : CHUNK;
		int r;

		r = bpf_map_lookup_batch(fd, done ? &position : NULL, &position, keys,
					 (char *)values + done * size, &count, &options);
		r = r < 0 ? -errno : 0;
		if (done == 0 && no_batches(r))
			return read_one_by_one(fd, values, size, n);
		if (r < 0 && r != -ENOENT)
			return r;
		if (count == 0)
			return -EIO;
		done += count;
	}
	return 0;
}

int batch_write_u32(int fd, const uint32_t *keys, const uint32_t *values, size_t n)
{
	for (size_t first = 0; first < n; first += CHUNK) {
		uint32_t count = n - first < CHUNK ? (uint32_t)(n - first) : CHUNK;
		int r;

		r = write_chunk(fd, keys + first, (const char *)(values + first), sizeof(*values),
				count);
		if (r < 0)
			return r;
	}
	return 0;
}

struct table {
	size_t key_size, value_size, n, room;
	char *keys, *values;
};

static int table_reserve(struct table *t, size_t more)
{
	size_t room = t->n + more > 2 * t->room ? t->n + more : 2 * t->room;
	char *grown;

	if (t->n + more <= t->room)
		return 0;
	grown = reallocarray(t->keys, room, t->key_size);
	if (!grown)
		return -ENOMEM;
	t->keys = grown;
	grown = reallocarray(t->values, room, t->value_size);
	if (!grown)
		return -ENOMEM;
	t->values = grown;
	t->room = room;
	return 0;
}

static int read_batches(int fd, struct table *t)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	uint32_t position, chunk = CHUNK;
	bool first = true;
	int r;

	for (;;) {
		uint32_t count = chunk;

		r = table_reserve(t, chunk);
		if (r < 0)
			return r;
		r = bpf_map_lookup_batch(fd, first ? NULL : &position, &position,
					 t->keys + t->n * t->key_size,
					 t->values + t->n * t->value_size, &count, &options);
		r = r < 0 ? -errno : 0;
		if (r == -ENOSPC && chunk < CHUNK * 64) {
			chunk *= 2; /* a bucket held more than that */
			continue;
		}
		if (r < 0 && r != -ENOENT)
			return r;
		t->n += count;
		first = false;
		if (r == -ENOENT)
			return 0;
	}
}

int batch_read_hash(int fd, size_t key_size, size_t value_size, void **ret_keys, void **ret_values,
		    size_t *ret_n)
{
	struct table t = { .key_size = key_size, .value_size = value_size };
	int r;

	r = read_batches(fd, &t);
	if (r < 0) {
		free(t.keys);
		free(t.values);
		return r;
	}

	*ret_keys = t.keys;
	*ret_values = t.values;
	*ret_n = t.n;
	return 0;
}
