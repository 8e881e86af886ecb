/* SPDX-License-Identifier: BSD-3-Clause */
/* How the library's file says which version it is. */
#pragma once

/** Stands in the file once, right before the version and its terminating NUL. */
#define ISOMER_LIBRARY_MARK "libisomer_preload.so is of isomer "

/* Found by a search of the whole file. */
_Static_assert(sizeof(ISOMER_LIBRARY_MARK) > 24, "long enough to stand nowhere by accident");
