/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of the kernel that hold one line. */
#pragma once

#define SYSTEM_FILE_SIZE 256

/** Reads the file's beginning, without the newline at its end. Returns 0 or -errno. */
int system_file_read(const char *path, char ret[SYSTEM_FILE_SIZE]);
