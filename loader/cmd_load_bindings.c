/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/bindings_file.h"
#include "loader/caps.h"
#include "loader/command.h"
#include "loader/labels.h"
#include "loader/log.h"
#include "loader/snapshot.h"

enum { OPTION_DRY_RUN };

static const struct command_option options[] = {
	[OPTION_DRY_RUN] = { "dry-run", false },
	{ 0 },
};

/* What a file changes. */
struct difference {
	struct snapshot old; /* only the bindings that go */
	bool *added;         /* for each binding of the file */
	size_t n_added;
};

static void difference_done(struct difference *diff)
{
	snapshot_done(&diff->old);
	free(diff->added);
}

/* ---- reading ---- */

static int read_file(const char *path, struct bindings_file *ret)
{
	char error[BINDINGS_FILE_ERROR_SIZE];
	bool is_stdin = !strcmp(path, "-");
	CLEANUP_FD int fd = -1;
	int r;

	fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return log_failure(-errno, "cannot open '%s': %m", path);
	r = bindings_file_read(fd, ret, error);
	if (r == -EINVAL)
		return log_failure(r, "%s: %s", is_stdin ? "stdin" : path, error);
	if (r < 0)
		return log_failure(r, "cannot read '%s': %m", path);
	if (ret->masked)
		log_notice(
			"%s: %zu entries have bits set behind their prefix length: taken without "
			"them",
			is_stdin ? "stdin" : path, ret->masked);
	return 0;
}

/* ---- comparing ---- */

static bool same_binding(const struct snapshot *old, const struct isomer_binding *a,
			 const struct bindings_file *file, const struct isomer_binding *b)
{
	return a->miss == b->miss &&
	       !strcmp(snapshot_label(old, a->destination), file->labels[b->destination]);
}

/* Both sides are sorted. What stays the same leaves @ret->old, which takes the change's bindings.
 */
static int compare(struct change *c, const struct bindings_file *file, struct difference *ret)
{
	size_t i = 0, j = 0, gone = 0;
	struct bindings *old = &ret->old.bindings;
	const struct bindings *fresh = &file->bindings;
	int r;

	r = snapshot_of(&c->d, &c->bindings, &ret->old);
	if (r < 0)
		return r;
	ret->added = calloc(fresh->n + 1, sizeof(*ret->added));
	if (!ret->added)
		return -ENOMEM;

	while (i < old->n || j < fresh->n) {
		int order = i == old->n ? 1
			    : j == fresh->n
				    ? -1
				    : bindings_compare(&old->entries[i], &fresh->entries[j]);
		bool same = order == 0 &&
			    same_binding(&ret->old, &old->entries[i], file, &fresh->entries[j]);

		if (order <= 0 && !same)
			old->entries[gone++] = old->entries[i];
		if (order >= 0 && !same) {
			ret->added[j] = true;
			ret->n_added++;
		}
		i += order <= 0;
		j += order >= 0;
	}
	old->n = gone;
	return 0;
}

static void print_difference(const struct difference *diff, const struct bindings *fresh,
			     const char *const *names)
{
	char text[BINDING_TEXT_SIZE];

	for (size_t i = 0; i < fresh->n; i++) {
		if (!diff->added[i])
			continue;
		binding_text(&fresh->entries[i], names[fresh->entries[i].destination], text);
		printf("added %s\n", text);
	}
	for (size_t i = 0; i < diff->old.bindings.n; i++) {
		const struct isomer_binding *b = &diff->old.bindings.entries[i];

		binding_text(b, snapshot_label(&diff->old, b->destination), text);
		printf("removed %s\n", text);
	}
}

/* ---- changing ---- */

static int point_at_destinations(struct change *c, const struct bindings_file *file)
{
	/* Looked up once for each label rather than for each binding. */
	CLEANUP_FREE const struct destination **first = calloc(file->n_labels + 1, sizeof(*first));

	if (!first)
		return -ENOMEM;
	for (size_t i = 0; i < file->n_labels; i++)
		first[i] =
			destinations_find(&c->destinations, file->labels[i], AF_INET, IPPROTO_TCP);
	for (size_t i = 0; i < c->bindings.n; i++) {
		struct isomer_binding *b = &c->bindings.entries[i];
		const struct destination *part = first[b->destination];

		while (part->key.domain != b->domain || part->key.protocol != b->protocol)
			part++;
		b->destination = part->id;
	}
	return 0;
}

static int names_by_id(const struct change *c, const char ***ret)
{
	const char **names = calloc(c->d.st.info.max_destinations, sizeof(*names));

	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < c->destinations.n; i++)
		names[c->destinations.entries[i].id] = c->destinations.entries[i].key.label;
	*ret = names;
	return 0;
}

static int replace(struct change *c, struct bindings_file *file, const struct difference *diff)
{
	CLEANUP_FREE const char **names = NULL;
	int r;

	r = labels_create(&c->d, &c->destinations, file->labels, file->n_labels);
	if (r == -ENOSPC)
		return log_failure(
			r,
			"no room for the labels of the file: the dispatcher was loaded for "
			"%u destinations, %d a label; load it with a higher "
			"--max-destinations",
			c->d.st.info.max_destinations, DESTINATIONS_OF_LABEL);
	if (r == 0) {
		bindings_done(&c->bindings);
		c->bindings = file->bindings;
		file->bindings = BINDINGS_NONE;
		r = point_at_destinations(c, file);
	}
	if (r == 0)
		r = change_commit(c);
	if (r == 0)
		r = names_by_id(c, &names);
	if (r < 0)
		return log_failure(r, "cannot replace the bindings: %m");

	print_difference(diff, &c->bindings, names);
	return 0;
}

static int run(const struct context *ctx, char **args, int n, const char *const *values)
{
	CLEANUP(bindings_file_done) struct bindings_file file = BINDINGS_FILE_NONE;
	CLEANUP(difference_done) struct difference diff = { .added = NULL };
	CLEANUP(change_end) struct change c = CHANGE_NONE;
	int r, status;

	(void)n;

	status = read_file(args[0], &file);
	if (status)
		return status;
	if (command_begin_change(ctx, &c) < 0)
		return EXIT_FAILURE;
	r = compare(&c, &file, &diff);
	if (r < 0)
		return log_failure(r, "cannot compare '%s' with what is bound: %m", args[0]);

	if (values[OPTION_DRY_RUN])
		print_difference(&diff, &file.bindings, file.labels);
	else if (diff.n_added || diff.old.bindings.n)
		status = replace(&c, &file, &diff);
	return status ? status : command_finish();
}

const struct command cmd_load_bindings = {
	.name = "load-bindings",
	.operands = "FILE|-",
	.summary = "replace all bindings by those of a JSON file",
	.help = "Puts exactly the bindings of FILE (- is stdin) in force, in one step: no packet sees\n"
		"some of the old and some of the new. A mistake anywhere in the file changes nothing.\n"
		"Prints a line for each binding that was added or removed.\n"
		"\n"
		"  {\"bindings\": [\n"
		"    {\"label\": \"foo\", \"prefix\": \"127.0.0.0/24\", \"port\": 80},\n"
		"    {\"label\": \"bar\", \"prefix\": \"2001:db8::/64\", \"port\": \"8000-8999\",\n"
		"     \"protocol\": \"udp\", \"miss\": \"pass\"}\n"
		"  ]}\n"
		"\n"
		"Without \"protocol\" an entry is for TCP and UDP; without \"miss\" it is \"drop\". The\n"
		"port 0 means all ports.\n"
		"\n"
		"Options:\n"
		"  --dry-run  print what would be added and removed, and change nothing\n",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.caps = CAPS_CHANGE,
	.run = run,
};
