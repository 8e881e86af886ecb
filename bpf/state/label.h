/* SPDX-License-Identifier: BSD-3-Clause */
/* Labels, and how they are written as file names: bpffs refuses dots, so '.' is written "%2E". */
#pragma once

#include <stddef.h>

/* A file name of a label, with the terminating NUL. */
#define ISOMER_LABEL_NAME_SIZE 256

/**
 * Checks that @label is 1 to ISOMER_LABEL_MAX bytes of [A-Za-z0-9_.@:+-], is not "-" alone, and
 * that its file name is not longer than 255 bytes.
 *
 * Returns 0, -ENAMETOOLONG or -EINVAL.
 */
int isomer_label_check(const char *label);

/** Writes the file name of @label. Returns 0 or what isomer_label_check() says. */
int isomer_label_to_name(const char *label, char ret_name[ISOMER_LABEL_NAME_SIZE]);

/** The reverse. Returns 0, or -EINVAL when @name is not what isomer_label_to_name() writes. */
int isomer_label_from_name(const char *name, char ret_label[ISOMER_LABEL_NAME_SIZE]);
