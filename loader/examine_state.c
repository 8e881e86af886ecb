/* SPDX-License-Identifier: BSD-3-Clause */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/bpffs.h"
#include "loader/dispatcher.h"
#include "loader/examine.h"
#include "state/parse.h"

#define FOLDER_NAME "_dispatcher"

/* Is there a BPF filesystem whose folders can be looked at? */
static bool examine_bpffs(const struct context *ctx, struct findings *f)
{
	int r = bpffs_look(ctx->bpffs);

	if (r == -EXDEV || (r == -EMEDIUMTYPE && strcmp(ctx->bpffs, ISOMER_BPFFS_DEFAULT))) {
		findings_add(f, FINDING_BAD, "bpffs", "there is no place for the state",
			     "'mount -t bpf -o mode=0711 bpf PATH', or from outside 'isomer-loader "
			     "--netns PATH load'",
			     "%s is not a BPF filesystem, in this mount namespace", ctx->bpffs);
		return false;
	}
	if (r == -EMEDIUMTYPE) {
		findings_good(f, "bpffs", "not mounted at %s: 'load' does that", ctx->bpffs);
		return false;
	}
	if (r < 0) {
		findings_add(f, FINDING_BAD, "bpffs", "there is no place for the state",
			     "mount a BPF filesystem, or name another one by --bpffs",
			     "%s cannot be used: %s", ctx->bpffs, strerror(-r));
		return false;
	}
	if (bpffs_searchable(ctx->bpffs))
		findings_good(f, "bpffs", "mounted at %s, all may search it", ctx->bpffs);
	else
		findings_add(f, FINDING_NOTE, "bpffs",
			     "servers of other users register through the registrar alone",
			     "chmod o+x it, at each boot: the unit isomer-bpffs.service does",
			     "only its owner may search %s", ctx->bpffs);
	return true;
}

static void examine_folder(const struct context *ctx, const char *name, struct findings *f)
{
	const char *end = strstr(name, FOLDER_NAME);
	char path[PATH_MAX];
	struct stat sb;
	uint64_t inode;

	if (!end || isomer_parse_number(name, (size_t)(end - name), UINT64_MAX, &inode) < 0 ||
	    snprintf(path, sizeof(path), "%s/%s", ctx->bpffs, name) >= (int)sizeof(path) ||
	    lstat(path, &sb) < 0)
		return;
	if (!S_ISDIR(sb.st_mode) || (sb.st_uid && sb.st_uid != geteuid()) ||
	    (sb.st_mode & (S_IWGRP | S_IWOTH)))
		findings_add(f, FINDING_NOTE, "foreign",
			     "none: it is not taken for a dispatcher, and 'load' moves it aside",
			     "look who made it, and remove it",
			     "%s belongs to user %u, or others may write it", path, sb.st_uid);
	else if (end[strlen(FOLDER_NAME)])
		findings_add(f, FINDING_NOTE, "leftover", "some memory of the kernel",
			     "the next 'load' in that network namespace removes it",
			     "%s was left by a command that was killed, or is in use by one", path);
	else if (dispatcher_check_attached(path, inode) == -ESTALE)
		findings_add(f, FINDING_NOTE, "stale", "some memory of the kernel",
			     "'isomer-loader load' in a namespace that gets the number again, or "
			     "rm -r",
			     "%s is of a network namespace that is gone, or half removed", path);
}

static void examine_folders(const struct context *ctx, struct findings *f)
{
	CLEANUP_DIR DIR *dir = opendir(ctx->bpffs);
	struct dirent *entry;

	if (!dir) {
		findings_add(f, FINDING_NOTE, "folders", "what is left there is not found",
			     "run it as root", "%s cannot be read: %s", ctx->bpffs,
			     strerror(errno));
		return;
	}
	while ((entry = readdir(dir)))
		examine_folder(ctx, entry->d_name, f);
}

static void examine_dispatcher(const struct context *ctx, struct findings *f, bool *ret_loaded)
{
	CLEANUP(dispatcher_close) struct dispatcher d = DISPATCHER_NONE;
	int r = dispatcher_open(ctx->bpffs, &ctx->netns, DISPATCHER_READ, &d, NULL);

	*ret_loaded = r == 0;
	if (r == -ENOENT)
		findings_good(f, "dispatcher", "none is loaded yet: 'isomer-loader load'");
	else if (r == -EPROTO)
		findings_add(f, FINDING_BAD, "dispatcher", "this version cannot change bindings",
			     "'unload' with that version's isomer-loader, 'load' with this",
			     "the one of %s is of another schema", ctx->netns.path);
	else if (r < 0)
		findings_add(f, FINDING_NOTE, "dispatcher", "nothing can be said of it",
			     "'isomer-loader status' says more", "cannot be opened: %s",
			     strerror(-r));
	else if (strcmp(d.st.info.version, ISOMER_VERSION))
		findings_add(f, FINDING_NOTE, "dispatcher", "the program is the one of then",
			     "isomer-loader upgrade", "loaded by version %.32s", d.st.info.version);
	else
		findings_good(f, "dispatcher", "loaded, by this version");
}

/* At the same place; each chooses a socket, and one that another has chosen is left alone. */
static void examine_others(struct findings *f, bool loaded)
{
	CLEANUP_FD int netns_fd = open(NETNS_SELF, O_RDONLY | O_CLOEXEC);
	uint32_t ids[64], n = sizeof(ids) / sizeof(ids[0]), flags;

	if (netns_fd < 0 || bpf_prog_query(netns_fd, BPF_SK_LOOKUP, 0, &flags, ids, &n) < 0)
		return; /* capabilities, or the kernel, which were told */
	n -= loaded && n > 0;
	if (n == 0)
		findings_good(f, "programs", "no other program of the namespace selects sockets");
	else
		findings_add(f, FINDING_NOTE, "programs",
			     "what they choose a socket for does not reach a label: metrics count "
			     "it as errors of other_program",
			     "'bpftool net' and 'bpftool link' name them",
			     "%u other at sk_lookup in this network namespace", n);
}

void examine_state(const struct context *ctx, struct findings *f)
{
	bool loaded = false;

	if (examine_bpffs(ctx, f)) {
		examine_dispatcher(ctx, f, &loaded);
		examine_folders(ctx, f);
	}
	examine_others(f, loaded);
}
