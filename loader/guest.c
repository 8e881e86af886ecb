/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state/cleanup.h"
#include "state/label.h"

#define ENVIRON_MAX (1 << 20)
#define LIBRARY     "/libisomer_preload"

static int open_proc(pid_t pid, const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Reads up to ENVIRON_MAX bytes, with a NUL behind them. */
static int read_environment(pid_t pid, char **ret, size_t *ret_size)
{
	CLEANUP_FD int fd = open_proc(pid, "environ");
	CLEANUP_FREE char *text = NULL;
	size_t size = 0, room = 8192;
	ssize_t n;

	if (fd < 0)
		return fd;
	do {
		char *grown = realloc(text, room + 1);

		if (!grown)
			return -ENOMEM;
		text = grown;
		n = read(fd, text + size, room - size);
		if (n < 0)
			return -errno;
		size += (size_t)n;
		room = size == room ? 2 * room : room;
	} while (n > 0 && room <= ENVIRON_MAX);

	text[size] = '\0';
	*ret = TAKE_PTR(text);
	*ret_size = size;
	return 0;
}

static const char *value_of(const char *entry, const char *name)
{
	size_t len = strlen(name);

	return !strncmp(entry, name, len) && entry[len] == '=' && entry[len + 1] ? entry + len + 1
										 : NULL;
}

/* Is there any of the library's variables? One with a mistake is as good as none: nothing of such a
 * process is registered. */
static bool parse_environment(const char *text, size_t size, struct guest *ret)
{
	struct isomer_rules_mistake mistake;
	bool found = false;

	ret->label[0] = '\0';
	ret->rules.n = 0;
	for (const char *entry = text; entry < text + size; entry += strlen(entry) + 1) {
		const char *label = value_of(entry, "ISOMER_LABEL");
		const char *rules = value_of(entry, "ISOMER_RULES");

		found = found || label || rules;
		if (label && isomer_label_check(label) == 0)
			memcpy(ret->label, label, strlen(label) + 1);
		if (rules && isomer_rules_parse(rules, &ret->rules, &mistake) < 0)
			ret->rules.n = 0;
	}
	return found;
}

/* A line of the map may be cut in two; a name that is cut is read whole with the next bytes. */
static int has_library(pid_t pid)
{
	CLEANUP_FD int fd = open_proc(pid, "maps");
	char text[8192];
	size_t kept = 0;
	ssize_t n;

	if (fd < 0)
		return fd;
	while ((n = read(fd, text + kept, sizeof(text) - kept)) > 0) {
		size_t size = kept + (size_t)n;

		if (memmem(text, size, LIBRARY, strlen(LIBRARY)))
			return 1;
		kept = size < strlen(LIBRARY) ? size : strlen(LIBRARY);
		memmove(text, text + size - kept, kept);
	}
	return n < 0 ? -errno : 0;
}

int guest_look(pid_t pid, struct guest *ret)
{
	CLEANUP_FREE char *text = NULL;
	size_t size = 0;
	int r;

	r = read_environment(pid, &text, &size);
	if (r < 0)
		return r;
	ret->known = parse_environment(text, size, ret);
	return ret->known ? 1 : has_library(pid);
}

const char *guest_label(const struct guest *g, const struct isomer_socket *s, bool *ret_by_rule)
{
	const struct isomer_rule *rule = isomer_rules_match(&g->rules, s);

	if (ret_by_rule)
		*ret_by_rule = rule;
	if (rule)
		return rule->label;
	return g->label[0] || !g->known ? g->label : NULL;
}
