/* SPDX-License-Identifier: BSD-3-Clause */
/* Many entries of a map at once, one by one where the kernel has no batches for that type. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** Writes @n values of @size bytes to the entries 0 to @n - 1 of an array. */
int batch_write_array(int fd, const void *values, size_t size, size_t n);

/** Reads the entries 0 to @n - 1 of an array. */
int batch_read_array(int fd, void *values, size_t size, size_t n);

/** Writes @n 32-bit values under @n 32-bit keys. For a map of maps all of it costs one grace
 * period where batches are known, one for each entry elsewhere. */
int batch_write_u32(int fd, const uint32_t *keys, const uint32_t *values, size_t n);

/**
 * Reads a whole hash. *@ret_keys and *@ret_values are arrays of *@ret_n, the caller's to free.
 * Entries that come or go meanwhile may be missed; those that stay are not.
 */
int batch_read_hash(int fd, size_t key_size, size_t value_size, void **ret_keys, void **ret_values,
		    size_t *ret_n);
