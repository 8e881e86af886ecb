/* SPDX-License-Identifier: BSD-3-Clause */
#include "state/label.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <isomer/abi.h>

static const char dot_escape[] = "%2E";

/* Not isalnum(): what it says depends on the locale of the guest. */
static bool allowed(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("_.@:+-", c));
}

static int check(const char *label, size_t *ret_name_len)
{
	size_t i, name_len = 0;

	for (i = 0; label[i]; i++) {
		if (!allowed(label[i]))
			return -EINVAL;
		if (i == ISOMER_LABEL_MAX)
			return -ENAMETOOLONG;
		name_len += label[i] == '.' ? sizeof(dot_escape) - 1 : 1;
	}
	if (i == 0 || !strcmp(label, "-"))
		return -EINVAL;
	if (name_len >= ISOMER_LABEL_NAME_SIZE)
		return -ENAMETOOLONG;

	*ret_name_len = name_len;
	return 0;
}

int isomer_label_check(const char *label)
{
	size_t name_len;

	return check(label, &name_len);
}

int isomer_label_to_name(const char *label, char ret_name[ISOMER_LABEL_NAME_SIZE])
{
	size_t name_len;
	int r;

	r = check(label, &name_len);
	if (r < 0)
		return r;

	for (; *label; label++) {
		if (*label == '.') {
			memcpy(ret_name, dot_escape, sizeof(dot_escape) - 1);
			ret_name += sizeof(dot_escape) - 1;
		} else {
			*ret_name++ = *label;
		}
	}
	*ret_name = '\0';
	return 0;
}

int isomer_label_from_name(const char *name, char ret_label[ISOMER_LABEL_NAME_SIZE])
{
	char label[ISOMER_LABEL_NAME_SIZE];
	size_t len = 0;
	int r;

	while (*name) {
		bool dot = !strncmp(name, dot_escape, sizeof(dot_escape) - 1);

		if (len == sizeof(label) - 1 || *name == '.')
			return -EINVAL;
		label[len++] = dot ? '.' : *name;
		name += dot ? sizeof(dot_escape) - 1 : 1;
	}
	label[len] = '\0';

	r = isomer_label_check(label);
	if (r < 0)
		return -EINVAL;

	memcpy(ret_label, label, len + 1);
	return 0;
}
