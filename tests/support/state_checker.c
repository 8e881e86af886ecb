/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "state/bpfsys.h"
#include "state/cleanup.h"
#include "state/label.h"
#include "support/bpf_objects.h"
#include "support/state_checker.h"

#define PARTS 4

static const struct {
	const char *name;
	uint8_t domain, protocol;
} parts[PARTS] = {
	{ "ipv4-tcp", AF_INET, IPPROTO_TCP },
	{ "ipv4-udp", AF_INET, IPPROTO_UDP },
	{ "ipv6-tcp", AF_INET6, IPPROTO_TCP },
	{ "ipv6-udp", AF_INET6, IPPROTO_UDP },
};

struct destination_seen {
	struct isomer_destination_key key;
	uint32_t slots; /* kernel's id of the map; 0: none has this id */
};

/* What is known while a state is checked. */
struct check {
	const char *folder;
	gid_t group;
	struct isomer_info info;
	int destinations_fd, sockets_fd;
	struct destination_seen *by_id;
	uint32_t rules, list; /* ids in the names of these pins; 0: none */
	struct state_summary summary;
};

/* ---- pins ---- */

static void path_of(const struct check *c, const char *name, char ret[PATH_MAX])
{
	assert_in_range(snprintf(ret, PATH_MAX, "%s/%s", c->folder, name), 1, PATH_MAX - 1);
}

static struct stat look_at(const char *path)
{
	struct stat sb;

	if (lstat(path, &sb) < 0)
		fail_msg("%s: %s", path, strerror(errno));
	return sb;
}

/* Type and mode, and that it is root's. */
static struct stat check_entry(const struct check *c, const char *name, mode_t mode)
{
	char path[PATH_MAX];
	struct stat sb;

	path_of(c, name, path);
	sb = look_at(path);
	if (sb.st_mode != mode || sb.st_uid != 0)
		fail_msg("%s: mode %o of uid %u, should be %o of root", path, sb.st_mode, sb.st_uid,
			 mode);
	return sb;
}

static int open_map(const struct check *c, const char *name, enum bpf_map_type type,
		    struct bpf_map_info *ret)
{
	enum object_kind kind = OBJECT_LINK;
	char path[PATH_MAX];
	int fd;

	path_of(c, name, path);
	fd = object_open(path, &kind);
	if (fd < 0)
		fail_msg("cannot open %s: %s", path, strerror(-fd));
	assert_int_equal(kind, OBJECT_MAP);
	assert_int_equal(bpfsys_map_info(fd, ret), 0);
	if (ret->type != type)
		fail_msg("%s is a map of type %u, should be %u", path, ret->type, type);
	return fd;
}

static void check_group(const struct check *c, const char *name)
{
	char path[PATH_MAX];

	path_of(c, name, path);
	assert_int_equal(look_at(path).st_gid, c->group);
}

static void check_pin_modes(struct check *c)
{
	static const struct {
		const char *name;
		mode_t mode;
	} entries[] = {
		{ ".", S_IFDIR | 0711 },
		{ ISOMER_PIN_INFO, S_IFREG | 0644 },
		{ ISOMER_PIN_DESTINATIONS, S_IFREG | 0644 },
		{ ISOMER_PIN_RULESET, S_IFREG | 0640 },
		{ ISOMER_PIN_PAGES, S_IFREG | 0640 },
		{ ISOMER_PIN_SOCKETS, S_IFREG | 0640 },
		{ ISOMER_PIN_METRICS, S_IFREG | 0640 },
		{ ISOMER_PIN_PROGRAM, S_IFREG | 0640 },
		{ ISOMER_PIN_LINK, S_IFREG | 0640 },
		{ ISOMER_DIR_LABELS, S_IFDIR | 0711 },
		{ ISOMER_DIR_LOCK, S_IFDIR | 0700 },
		{ "staging", S_IFDIR | 0700 },
		{ "vacant", S_IFREG | 0600 },
	};

	for (size_t i = 0; i < sizeof(entries) / sizeof(*entries); i++)
		check_entry(c, entries[i].name, entries[i].mode);
	c->group = check_entry(c, ISOMER_PIN_RULESET, S_IFREG | 0640).st_gid;
	for (size_t i = 1; i <= 8; i++)
		check_group(c, entries[i].name);
}

static void check_program(const struct check *c, uint64_t netns_inode)
{
	enum object_kind kind = OBJECT_MAP;
	CLEANUP_FD int program_fd = -1, link_fd = -1;
	struct bpf_prog_info program;
	struct bpf_link_info link;
	char path[PATH_MAX];

	path_of(c, ISOMER_PIN_PROGRAM, path);
	program_fd = object_open(path, &kind);
	assert_return_code(program_fd, -program_fd);
	assert_int_equal(kind, OBJECT_PROGRAM);
	assert_int_equal(object_program_info(program_fd, &program), 0);
	assert_int_equal(program.type, BPF_PROG_TYPE_SK_LOOKUP);

	path_of(c, ISOMER_PIN_LINK, path);
	link_fd = object_open(path, &kind);
	assert_return_code(link_fd, -link_fd);
	assert_int_equal(kind, OBJECT_LINK);
	assert_int_equal(object_link_info(link_fd, &link), 0);
	assert_int_equal(link.type, BPF_LINK_TYPE_NETNS);
	assert_int_equal(link.prog_id, program.id);
	assert_int_equal(link.netns.netns_ino, netns_inode);
	assert_int_equal(link.netns.attach_type, BPF_SK_LOOKUP);
}

static void read_info(struct check *c, uint64_t netns_inode)
{
	struct bpf_map_info map;
	CLEANUP_FD int fd = open_map(c, ISOMER_PIN_INFO, BPF_MAP_TYPE_ARRAY, &map);
	uint32_t key = 0;

	assert_int_equal(map.value_size, sizeof(c->info));
	assert_int_equal(bpfsys_map_lookup(fd, &key, &c->info), 0);
	assert_int_equal(c->info.magic, ISOMER_MAGIC);
	assert_int_equal(c->info.schema, ISOMER_SCHEMA);
	assert_int_equal(c->info.netns_inode, netns_inode);
	assert_int_equal(c->info.reserved, 0);
	c->summary.max_destinations = c->info.max_destinations;
}

/* ---- what is in the folders ---- */

static bool is_known_pin(const char *name)
{
	static const char *const known[] = {
		ISOMER_PIN_INFO,    ISOMER_PIN_PROGRAM, ISOMER_PIN_LINK,   ISOMER_PIN_RULESET,
		ISOMER_PIN_SOCKETS, ISOMER_PIN_METRICS, ISOMER_DIR_LABELS, ISOMER_PIN_DESTINATIONS,
		ISOMER_DIR_LOCK,    ISOMER_PIN_PAGES,   "staging",         "vacant",
		"attachments",      "reloads",
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(name, known[i]))
			return true;
	return false;
}

static bool is_by_id(const char *name, const char *prefix, uint32_t *ret_id)
{
	size_t len = strlen(prefix);
	char *end;

	if (strncmp(name, prefix, len))
		return false;
	if (*ret_id)
		fail_msg("there is more than one %s<id>", prefix);
	*ret_id = (uint32_t)strtoul(name + len, &end, 10);
	return *ret_id != 0 && *end == '\0';
}

static int not_dots(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
}

/* Names of a folder, sorted. Free with names_done(). */
static int names_in(const struct check *c, const char *folder, struct dirent ***ret)
{
	char path[PATH_MAX];
	int n;

	path_of(c, folder, path);
	n = scandir(path, ret, not_dots, alphasort);
	if (n < 0)
		fail_msg("cannot read %s: %s", path, strerror(errno));
	return n;
}

static void names_done(struct dirent **names, int n)
{
	while (n > 0)
		free(names[--n]);
	free(names);
}

static void check_is_empty(const struct check *c, const char *folder)
{
	struct dirent **names;
	int n = names_in(c, folder, &names);

	if (n)
		fail_msg("%s/%s is not empty: it has %s", c->folder, folder, names[0]->d_name);
	names_done(names, n);
}

/* Each wholly there, and on a cgroup that lives. */
static void check_attachment(const struct check *c, const char *folder)
{
	static const char *const tcp[] = { "holder", "link", "program", "rules", "state" };
	static const char *const udp[] = { "answer4", "answer6", "holder", "link",
					   "note",    "program", "rules",  "state" };
	const char *const *expected = tcp;
	enum object_kind kind = OBJECT_MAP;
	CLEANUP_FD int fd = -1;
	struct bpf_link_info link;
	char path[PATH_MAX], name[NAME_MAX + 8];
	struct dirent **names;
	int n = names_in(c, folder, &names);

	if (n != sizeof(tcp) / sizeof(*tcp)) {
		assert_int_equal(n, sizeof(udp) / sizeof(*udp));
		expected = udp;
	}
	for (int i = 0; i < n; i++)
		assert_string_equal(names[i]->d_name, expected[i]);
	names_done(names, n);
	snprintf(name, sizeof(name), "%s/link", folder);
	path_of(c, name, path);
	assert_int_equal(look_at(path).st_mode, S_IFREG | 0640);
	fd = object_open(path, &kind);
	assert_return_code(fd, -fd);
	assert_int_equal(object_link_info(fd, &link), 0);
	assert_int_equal(link.type, BPF_LINK_TYPE_CGROUP);
	assert_int_not_equal(link.cgroup.cgroup_id, 0);
}

static void check_attachments(struct check *c)
{
	char path[PATH_MAX], folder[NAME_MAX + 1];
	struct dirent **names;
	int n;

	path_of(c, "attachments", path);
	if (access(path, F_OK) < 0)
		return; /* the first attachment makes it */
	n = names_in(c, "attachments", &names);
	for (int i = 0; i < n; i++) {
		snprintf(folder, sizeof(folder), "attachments/%.200s", names[i]->d_name);
		check_attachment(c, folder);
		c->summary.attachments++;
	}
	names_done(names, n);
}

static void check_names(struct check *c)
{
	struct dirent **names;
	int n = names_in(c, ".", &names);

	for (int i = 0; i < n; i++)
		if (!is_known_pin(names[i]->d_name) &&
		    !is_by_id(names[i]->d_name, ISOMER_PREFIX_RULES, &c->rules) &&
		    !is_by_id(names[i]->d_name, ISOMER_PREFIX_LIST, &c->list))
			fail_msg("%s/%s is no part of a state", c->folder, names[i]->d_name);
	names_done(names, n);
	check_is_empty(c, ISOMER_DIR_LOCK);
	check_is_empty(c, "staging");
	check_attachments(c);
}

/* ---- destinations ---- */

static void note_destination(struct check *c, const struct isomer_destination_key *key)
{
	struct isomer_destination value;
	size_t len = strnlen(key->label, sizeof(key->label));

	assert_int_equal(bpfsys_map_lookup(c->destinations_fd, key, &value), 0);
	for (size_t i = len; i < sizeof(key->label); i++)
		assert_int_equal(key->label[i], 0);
	assert_int_equal(isomer_label_check(key->label), 0);
	assert_int_equal(key->reserved[0] | key->reserved[1], 0);
	assert_in_range(value.id, 0, c->info.max_destinations - 1);
	if (c->by_id[value.id].key.domain)
		fail_msg("'%s' and '%s' have the same id %u", c->by_id[value.id].key.label,
			 key->label, value.id);
	c->by_id[value.id].key = *key;
}

static uint32_t read_destinations(struct check *c)
{
	struct isomer_destination_key key;
	uint32_t n = 0;
	void *last = NULL;

	while (map_next_key(c->destinations_fd, last, &key) == 0) {
		note_destination(c, &key);
		last = &key;
		n++;
	}
	return n;
}

/* An id that was never given has no slots, one that was given back the vacant ones. */
static void read_sockets(struct check *c)
{
	struct bpf_map_info vacant;
	int fd = open_map(c, "vacant", BPF_MAP_TYPE_SOCKMAP, &vacant);

	close(fd);
	for (uint32_t id = 0; id < c->info.max_destinations; id++) {
		uint32_t slots = 0;
		int r = bpfsys_map_lookup(c->sockets_fd, &id, &slots);

		if (r != -ENOENT)
			assert_int_equal(r, 0);
		if (slots == vacant.id)
			slots = 0;
		if ((slots != 0) != (c->by_id[id].key.domain != 0))
			fail_msg("id %u (%s) %s slots", id, c->by_id[id].key.label,
				 slots ? "is no destination's and has" : "has no");
		c->by_id[id].slots = slots;
	}
}

static void check_slots_pin(const struct check *c, const char *label, int part, const char *name,
			    const struct stat *first)
{
	struct isomer_destination_key key = { .domain = parts[part].domain,
					      .protocol = parts[part].protocol };
	struct isomer_destination value;
	struct bpf_map_info map;
	CLEANUP_FD int fd = open_map(c, name, BPF_MAP_TYPE_SOCKMAP, &map);
	char path[PATH_MAX];
	struct stat sb;

	path_of(c, name, path);
	sb = look_at(path);
	if (sb.st_mode != (S_IFREG | 0644) && sb.st_mode != (S_IFREG | 0664))
		fail_msg("%s has mode %o", path, sb.st_mode);
	assert_int_equal(sb.st_uid, first->st_uid);
	assert_int_equal(sb.st_gid, first->st_gid);
	assert_int_equal(sb.st_mode, first->st_mode);
	assert_int_equal(map.max_entries, ISOMER_SLOTS);

	memcpy(key.label, label, strlen(label));
	if (bpfsys_map_lookup(c->destinations_fd, &key, &value) < 0)
		fail_msg("%s is not among the destinations", path);
	if (c->by_id[value.id].slots != map.id)
		fail_msg("%s is map %u, and map %u is in force", path, map.id,
			 c->by_id[value.id].slots);
}

static void check_label(struct check *c, const char *folder)
{
	char name[PATH_MAX], path[PATH_MAX], label[ISOMER_LABEL_NAME_SIZE];
	struct dirent **names;
	struct stat first;
	int n;

	if (isomer_label_from_name(folder, label) < 0)
		fail_msg("'%s' is no label's folder", folder);
	snprintf(name, sizeof(name), ISOMER_DIR_LABELS "/%.255s", folder);
	check_entry(c, name, S_IFDIR | 0711);
	n = names_in(c, name, &names);
	assert_int_equal(n, PARTS);
	for (int i = 0; i < PARTS; i++) {
		assert_string_equal(names[i]->d_name, parts[i].name);
		snprintf(name, sizeof(name), ISOMER_DIR_LABELS "/%.255s/%s", folder, parts[i].name);
		path_of(c, name, path);
		if (i == 0)
			first = look_at(path);
		check_slots_pin(c, label, i, name, &first);
	}
	names_done(names, n);
	c->summary.labels++;
}

static void check_labels(struct check *c)
{
	struct bpf_map_info map;
	struct dirent **names;
	uint32_t destinations;
	int n;

	c->destinations_fd = open_map(c, ISOMER_PIN_DESTINATIONS, BPF_MAP_TYPE_HASH, &map);
	assert_int_equal(map.max_entries, c->info.max_destinations);
	c->sockets_fd = open_map(c, ISOMER_PIN_SOCKETS, BPF_MAP_TYPE_ARRAY_OF_MAPS, &map);
	assert_int_equal(map.max_entries, c->info.max_destinations);
	c->by_id = calloc(c->info.max_destinations, sizeof(*c->by_id));
	assert_non_null(c->by_id);
	destinations = read_destinations(c);
	read_sockets(c);

	n = names_in(c, ISOMER_DIR_LABELS, &names);
	for (int i = 0; i < n; i++)
		check_label(c, names[i]->d_name);
	names_done(names, n);
	assert_int_equal(destinations, c->summary.labels * PARTS);
}

/* ---- the index in force ---- */

static void check_binding(const struct check *c, const struct isomer_binding *b)
{
	const struct isomer_destination_key *key;

	assert_in_range(b->destination, 0, c->info.max_destinations - 1);
	key = &c->by_id[b->destination].key;
	if (key->domain != b->domain || key->protocol != b->protocol)
		fail_msg("a binding of domain %u and protocol %u goes to id %u, which is of %u "
			 "and %u ('%s')",
			 b->domain, b->protocol, b->destination, key->domain, key->protocol,
			 key->label);
	assert_in_range(b->prefixlen, 0, b->domain == AF_INET ? 32 : 128);
	assert_true(b->port_first ? b->port_first <= b->port_last : b->port_last == UINT16_MAX);
	assert_in_range(b->miss, ISOMER_MISS_DROP, ISOMER_MISS_PASS);
	assert_int_equal(b->reserved, 0);
}

static void check_list(struct check *c, const struct isomer_index_header *header)
{
	struct isomer_binding binding;
	struct bpf_map_info map;
	CLEANUP_FD int fd = -1;
	char name[64];

	snprintf(name, sizeof(name), ISOMER_PREFIX_LIST "%u", header->list);
	check_entry(c, name, S_IFREG | 0640);
	check_group(c, name);
	fd = open_map(c, name, BPF_MAP_TYPE_ARRAY, &map);
	assert_int_equal(map.id, header->list);
	assert_true(map_is_frozen(fd));
	assert_int_equal(map.value_size, sizeof(binding));
	for (uint32_t i = 0; i < header->bindings; i++) {
		assert_int_equal(bpfsys_map_lookup(fd, &i, &binding), 0);
		check_binding(c, &binding);
	}
	c->summary.bindings = header->bindings;
}

/* The pages of the index in force, which begin with @first, and no others. */
static void check_pages(const struct check *c, const struct isomer_page *first)
{
	const struct isomer_index_header *header = (const void *)first;
	CLEANUP_FREE struct isomer_page *page = calloc(1, sizeof(*page));
	CLEANUP_FD int pages_fd = -1, fd = -1;
	struct bpf_map_info map;
	uint32_t id, zero = 0;

	assert_non_null(page);
	pages_fd = open_map(c, ISOMER_PIN_PAGES, BPF_MAP_TYPE_ARRAY_OF_MAPS, &map);
	assert_int_equal(map.max_entries, ISOMER_PLACES);
	assert_in_range(header->place, 0, ISOMER_PLACES);
	assert_int_equal(header->place == ISOMER_PLACES, header->blocks <= ISOMER_PAGE_BLOCKS);
	for (uint32_t place = 0; place < ISOMER_PLACES; place++)
		assert_int_equal(bpfsys_map_lookup(pages_fd, &place, &id),
				 place == header->place ? 0 : -ENOENT);
	if (header->place == ISOMER_PLACES)
		return;
	assert_int_equal(bpfsys_map_lookup(pages_fd, &header->place, &id), 0);
	fd = object_open_id(OBJECT_MAP, id);
	assert_return_code(fd, -fd);
	assert_int_equal(bpfsys_map_info(fd, &map), 0);
	assert_true(map_is_frozen(fd));
	assert_int_equal(map.value_size, sizeof(*page));
	assert_int_equal(map.max_entries,
			 (header->blocks + ISOMER_PAGE_BLOCKS - 1) / ISOMER_PAGE_BLOCKS);
	assert_int_equal(bpfsys_map_lookup(fd, &zero, page), 0);
	assert_memory_equal(page, first, sizeof(*page));
}

static void check_index(struct check *c)
{
	CLEANUP_FREE struct isomer_page *page = calloc(1, sizeof(*page));
	const struct isomer_index_header *header = (const void *)page;
	const struct isomer_index_header none = { .place = ISOMER_PLACES };
	struct bpf_map_info map;
	CLEANUP_FD int ruleset_fd = -1, fd = -1;
	uint32_t key = 0, in_force;
	char name[64];

	assert_non_null(page);
	ruleset_fd = open_map(c, ISOMER_PIN_RULESET, BPF_MAP_TYPE_ARRAY_OF_MAPS, &map);
	if (bpfsys_map_lookup(ruleset_fd, &key, &in_force) == -ENOENT) {
		assert_int_equal(c->rules, 0); /* nothing was ever bound */
		assert_int_equal(c->list, 0);
		memcpy(page, &none, sizeof(none));
		check_pages(c, page);
		return;
	}
	assert_int_equal(c->rules, in_force);
	snprintf(name, sizeof(name), ISOMER_PREFIX_RULES "%u", in_force);
	check_entry(c, name, S_IFREG | 0640);
	check_group(c, name);
	fd = open_map(c, name, BPF_MAP_TYPE_ARRAY, &map);
	assert_int_equal(map.id, in_force);
	assert_true(map_is_frozen(fd));
	assert_int_equal(map.value_size, sizeof(*page));
	assert_int_equal(map.max_entries, 1);
	assert_int_equal(bpfsys_map_lookup(fd, &key, page), 0);
	assert_int_equal(header->magic, ISOMER_MAGIC);
	assert_int_equal(header->schema, ISOMER_SCHEMA);
	assert_int_equal(header->list, c->list);
	check_pages(c, page);
	check_list(c, header);
}

struct state_summary state_check_folder(const char *folder, uint64_t netns_inode)
{
	struct check c = { .folder = folder, .destinations_fd = -1, .sockets_fd = -1 };

	check_pin_modes(&c);
	check_names(&c);
	read_info(&c, netns_inode);
	check_program(&c, netns_inode);
	check_labels(&c);
	check_index(&c);
	free(c.by_id);
	cleanup_closep(&c.destinations_fd);
	cleanup_closep(&c.sockets_fd);
	return c.summary;
}

struct state_summary state_check(const struct netns_fixture *ns)
{
	return state_check_folder(ns->state_dir, ns->netns_inode);
}

uint32_t state_map_id(const struct netns_fixture *ns, const char *name)
{
	enum object_kind kind = OBJECT_LINK;
	CLEANUP_FD int fd = -1;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", ns->state_dir, name);
	fd = object_open(path, &kind);
	if (fd < 0)
		fail_msg("cannot open %s: %s", path, strerror(-fd));
	assert_int_equal(kind, OBJECT_MAP);
	return map_id_of(fd);
}
