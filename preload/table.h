/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

/** @size zeroed bytes, for a table with gaps: what is not used takes no memory, also where the
 * kernel would give huge pages to whom does not ask for any. NULL: errno says why there are none.
 */
static inline void *table_map(size_t size)
{
	void *table = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int saved = errno;

	if (table == MAP_FAILED)
		return NULL;
	(void)madvise(table, size, MADV_NOHUGEPAGE); /* a kernel may have none */
	errno = saved;
	return table;
}
