/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "state/bpfsys.h"
#include "state/cleanup.h"
#include "support/bpf_objects.h"
#include "support/state_checker.h"

/* ---- walking ---- */

/* The kernel may put iterators of its own at the top of a BPF filesystem. */
static int is_ours(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
	       (len < 6 || strcmp(entry->d_name + len - 6, ".debug"));
}

void state_walk(const char *folder, void (*visit)(const char *path, void *arg), void *arg)
{
	struct dirent **entries;
	int n = scandir(folder, &entries, is_ours, alphasort);

	if (n < 0)
		fail_msg("cannot read %s: %s", folder, strerror(errno));
	for (int i = 0; i < n; i++) {
		char path[PATH_MAX];
		struct stat sb;

		assert_in_range(snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name),
				1, PATH_MAX - 1);
		free(entries[i]);
		if (lstat(path, &sb) < 0)
			fail_msg("cannot look at %s: %s", path, strerror(errno));
		visit(path, arg);
		if (S_ISDIR(sb.st_mode))
			state_walk(path, visit, arg);
	}
	free(entries);
}

/* ---- printing ---- */

static void print_bytes(FILE *out, const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		fprintf(out, "%02x", ((const unsigned char *)bytes)[i]);
}

static bool is_zero(const char *bytes, size_t size)
{
	return size == 0 || (bytes[0] == 0 && !memcmp(bytes, bytes + 1, size - 1));
}

static void print_entry(FILE *out, int fd, const struct bpf_map_info *info, const void *key)
{
	static char value[MAP_VALUE_MAX];
	int r;

	memset(value, 0, sizeof(value)); /* how many CPUs there are does not matter */
	r = bpfsys_map_lookup(fd, key, value);
	if (r == -ENOENT)
		return; /* an empty place of an array of maps, or of sockets */
	if (r < 0)
		fail_msg("cannot read a map: %s", strerror(-r));
	if (is_zero(value, sizeof(value)))
		return;
	fprintf(out, "  ");
	print_bytes(out, key, info->key_size);
	fprintf(out, " = ");
	for (size_t end = sizeof(value);; end--) {
		if (value[end - 1]) {
			print_bytes(out, value, end);
			break;
		}
	}
	fprintf(out, "\n");
}

static void print_array(FILE *out, int fd, const struct bpf_map_info *info)
{
	for (uint32_t key = 0; key < info->max_entries; key++)
		print_entry(out, fd, info, &key);
}

static size_t key_size_to_sort; /* qsort() passes nothing on */

static int compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, key_size_to_sort);
}

static void print_hash(FILE *out, int fd, const struct bpf_map_info *info)
{
	CLEANUP_FREE char *keys = calloc(info->max_entries, info->key_size);
	uint32_t n = 0;

	assert_non_null(keys);
	while (n < info->max_entries && map_next_key(fd, n ? keys + (n - 1) * info->key_size : NULL,
						     keys + n * info->key_size) == 0)
		n++;
	key_size_to_sort = info->key_size;
	qsort(keys, n, info->key_size, compare_keys);
	for (uint32_t i = 0; i < n; i++)
		print_entry(out, fd, info, keys + i * info->key_size);
}

static void print_map(FILE *out, int fd)
{
	struct bpf_map_info info;

	assert_int_equal(bpfsys_map_info(fd, &info), 0);
	fprintf(out, " map id %u type %u key %u value %u entries %u flags %x%s\n", info.id,
		info.type, info.key_size, info.value_size, info.max_entries, info.map_flags,
		map_is_frozen(fd) ? " frozen" : "");
	if (info.type == BPF_MAP_TYPE_HASH)
		print_hash(out, fd, &info);
	else
		print_array(out, fd, &info);
}

static void print_object(FILE *out, const char *path)
{
	struct bpf_prog_info program;
	struct bpf_link_info link;
	enum object_kind kind;
	CLEANUP_FD int fd = object_open(path, &kind);

	if (fd < 0)
		fail_msg("cannot open %s: %s", path, strerror(-fd));
	if (kind == OBJECT_MAP) {
		print_map(out, fd);
	} else if (kind == OBJECT_PROGRAM) {
		assert_int_equal(object_program_info(fd, &program), 0);
		fprintf(out, " program id %u\n", program.id);
	} else {
		assert_int_equal(object_link_info(fd, &link), 0);
		fprintf(out, " link id %u program %u namespace %u\n", link.id, link.prog_id,
			link.netns.netns_ino);
	}
}

static void print_path(const char *path, void *arg)
{
	char target[PATH_MAX];
	FILE *out = arg;
	struct stat sb;
	ssize_t n;

	if (lstat(path, &sb) < 0)
		fail_msg("cannot look at %s: %s", path, strerror(errno));
	fprintf(out, "%s %o %u:%u links %u", path, sb.st_mode, sb.st_uid, sb.st_gid,
		(unsigned)sb.st_nlink);
	if (S_ISLNK(sb.st_mode)) {
		n = readlink(path, target, sizeof(target) - 1);
		fprintf(out, " -> %.*s\n", (int)(n < 0 ? 0 : n), target);
	} else if (S_ISDIR(sb.st_mode)) {
		fprintf(out, "\n");
	} else {
		print_object(out, path);
	}
}

char *state_dump(const char *path)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	print_path(path, out);
	state_walk(path, print_path, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

void state_is_still(const char *path, const char *before)
{
	CLEANUP_FREE char *after = state_dump(path);
	size_t i = 0, line = 0;

	if (!strcmp(before, after))
		return;
	for (; before[i] && before[i] == after[i]; i++)
		if (before[i] == '\n')
			line = i + 1;
	fail_msg("the state below %s has changed.\nbefore: %.*s\nafter:  %.*s", path,
		 (int)strcspn(before + line, "\n"), before + line, (int)strcspn(after + line, "\n"),
		 after + line);
}
