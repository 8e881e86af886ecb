/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/strays.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/guest.h"
#include "state/cleanup.h"
#include "state/parse.h"

#define SOCKETS_MAX 64 /* of one process that are looked at */

/* A socket of the process that is looked at. */
struct candidate {
	char label[ISOMER_LABEL_MAX + 1];
	bool by_rule, registered;
	struct isomer_socket socket;
};

struct search {
	const struct netns *ns;
	const struct overview *o;
	const char *label;
	struct strays *found;
	struct guest guest;
	size_t n;
	struct candidate candidates[SOCKETS_MAX];
};

static bool concerns(const struct destination_view *v, const struct candidate *c)
{
	const struct isomer_destination_key *key = &v->destination->key;

	return key->protocol == c->socket.protocol &&
	       (key->domain == AF_INET6 ? c->socket.ipv6 : c->socket.ipv4) &&
	       (!c->label[0] || !strcmp(key->label, c->label));
}

/* Slots that nobody may look into may hold it. */
static bool holds(const struct destination_view *v, uint64_t cookie)
{
	for (int slot = 0; slot < ISOMER_SLOTS; slot++)
		if (v->slots[slot] == cookie)
			return true;
	return v->hidden;
}

static int collect(int fd, void *arg)
{
	struct search *search = arg;
	struct candidate *c = &search->candidates[search->n];
	bool bound = false;
	const char *label;

	if (isomer_socket_inspect(fd, &c->socket) < 0 || netns_check_socket(search->ns, fd) < 0)
		return 0;
	label = guest_label(&search->guest, &c->socket, &c->by_rule);
	if (!label || (search->label && strcmp(label, search->label)))
		return 0;
	snprintf(c->label, sizeof(c->label), "%s", label);
	c->registered = false;
	for (size_t i = 0; i < search->o->n_destinations; i++) {
		const struct destination_view *v = &search->o->destinations[i];

		if (!concerns(v, c))
			continue;
		bound = bound || v->bindings;
		c->registered = c->registered || holds(v, c->socket.cookie);
	}
	search->n += bound || c->registered;
	return search->n == SOCKETS_MAX;
}

/* Does one of them stand for the other? By label alone a process registers one address and port of
 * each protocol, by rules each; and of one address and port not all its sockets. */
static bool is_same(const struct candidate *a, const struct candidate *b)
{
	return a->socket.protocol == b->socket.protocol && !strcmp(a->label, b->label) &&
	       (!a->by_rule || isomer_socket_same_address(&a->socket, &b->socket));
}

static bool is_stray(const struct search *search, size_t index)
{
	const struct candidate *c = &search->candidates[index];

	if (c->registered)
		return false;
	for (size_t i = 0; i < search->n; i++)
		if (is_same(c, &search->candidates[i]) &&
		    (search->candidates[i].registered || i < index))
			return false;
	/* Workers have their parent's. */
	for (size_t i = 0; i < search->found->n; i++)
		if (search->found->entries[i].owner.socket.cookie == c->socket.cookie)
			return false;
	return true;
}

static int add(struct strays *found, const struct candidate *c, pid_t pid)
{
	struct stray *grown = reallocarray(found->entries, found->n + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	found->entries = grown;
	grown = &found->entries[found->n++];
	memcpy(grown->label, c->label, sizeof(grown->label));
	grown->owner = (struct socket_owner){ .pid = pid, .socket = c->socket };
	process_name(pid, grown->owner.comm);
	return 0;
}

static bool is_in(pid_t pid, const struct netns *ns)
{
	uint64_t inode;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	return isomer_netns_inode(path, &inode) == 0 && inode == ns->inode;
}

static int look_at(struct search *search, pid_t pid)
{
	int r = 0;

	if (!is_in(pid, search->ns) || guest_look(pid, &search->guest) <= 0)
		return 0;
	search->n = 0;
	(void)process_sockets_visit(pid, collect, search);
	for (size_t i = 0; r == 0 && i < search->n; i++)
		if (is_stray(search, i))
			r = add(search->found, &search->candidates[i], pid);
	return r;
}

int strays_find(const struct netns *ns, const struct overview *o, const char *label,
		struct strays *ret)
{
	CLEANUP(strays_done) struct strays found = STRAYS_NONE;
	CLEANUP_FREE struct search *search = malloc(sizeof(*search));
	CLEANUP_DIR DIR *proc = opendir("/proc");
	struct dirent *entry;
	uint64_t pid;
	int r = 0;

	if (!search || !proc)
		return search ? -errno : -ENOMEM;
	search->ns = ns;
	search->o = o;
	search->label = label;
	search->found = &found;
	while (r == 0 && (entry = readdir(proc)))
		if (isomer_parse_number(entry->d_name, strlen(entry->d_name), INT32_MAX, &pid) == 0)
			r = look_at(search, (pid_t)pid);
	if (r < 0)
		return r;

	*ret = found;
	found = STRAYS_NONE;
	return 0;
}

void strays_done(struct strays *s)
{
	free(s->entries);
	*s = STRAYS_NONE;
}

/* ---- texts ---- */

static void address_text(const struct stray *s, char ret[INET6_ADDRSTRLEN])
{
	const struct sockaddr_storage *local = &s->owner.socket.local;

	inet_ntop(local->ss_family,
		  local->ss_family == AF_INET6
			  ? (const void *)&((const struct sockaddr_in6 *)local)->sin6_addr
			  : (const void *)&((const struct sockaddr_in *)local)->sin_addr,
		  ret, INET6_ADDRSTRLEN);
}

void strays_print(const struct strays *s, const char *options)
{
	char ip[INET6_ADDRSTRLEN];

	if (s->n == 0)
		return;
	printf("\nNot registered:\n");
	for (size_t i = 0; i < s->n; i++) {
		const struct stray *stray = &s->entries[i];

		address_text(stray, ip);
		printf(" %s: isomer-loader %sregister-pid %d %s %s %s %u\n", stray->owner.comm,
		       options, (int)stray->owner.pid, stray->label[0] ? stray->label : "LABEL",
		       isomer_protocol_name(stray->owner.socket.protocol), ip,
		       stray->owner.socket.port);
	}
}

void strays_json(const struct strays *s, struct json *j)
{
	char ip[INET6_ADDRSTRLEN];

	json_array(j, "unregistered");
	for (size_t i = 0; i < s->n; i++) {
		const struct stray *stray = &s->entries[i];

		address_text(stray, ip);
		json_object(j, NULL);
		json_text(j, "label", stray->label[0] ? stray->label : NULL);
		json_number(j, "pid", (uint64_t)stray->owner.pid);
		json_text(j, "program", stray->owner.comm);
		json_text(j, "protocol", isomer_protocol_name(stray->owner.socket.protocol));
		json_text(j, "address", ip);
		json_number(j, "port", stray->owner.socket.port);
		json_close_object(j);
	}
	json_close_array(j);
}
