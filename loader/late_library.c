/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/late_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

int late_library_open(const char *soname, const struct late_function *functions, size_t n)
{
	void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return -ELIBACC;
	for (size_t i = 0; i < n; i++) {
		void *function = dlsym(library, functions[i].name);

		if (!function)
			return -ELIBACC;
		memcpy(functions[i].ret, &function, sizeof(function));
	}
	return 0;
}
