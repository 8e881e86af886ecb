/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/attachment_list.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "loader/table.h"

static const char *const count_names[ISOMER_ATTACHMENT_COUNTS] = {
	[ISOMER_ATTACHMENT_REGISTERED] = "registered",
	[ISOMER_ATTACHMENT_OTHER_NETNS] = "other_netns",
	[ISOMER_ATTACHMENT_AMBIGUOUS] = "ambiguous",
	[ISOMER_ATTACHMENT_FAILED] = "failed",
};

struct reading {
	struct attachment_list list;
	int error;
};

static void add(const struct isomer_attachment *a, bool dead, void *arg)
{
	struct reading *r = arg;
	struct attachment_view *entries;

	entries = realloc(r->list.entries, (r->list.n + 1) * sizeof(*entries));
	if (!entries) {
		r->error = -ENOMEM;
		return;
	}
	entries[r->list.n] = (struct attachment_view){ .state = *a, .dead = dead };
	r->list.entries = entries;
	r->list.n++;
}

int attachment_list_read(const struct dispatcher *d, struct attachment_list *ret)
{
	struct reading reading = { .error = 0 };
	int r = attachments_visit(d, add, &reading);

	if (r == 0)
		r = reading.error;
	if (r < 0) {
		attachment_list_done(&reading.list);
		return r;
	}
	*ret = reading.list;
	return 0;
}

void attachment_list_done(struct attachment_list *list)
{
	free(list->entries);
	*list = ATTACHMENT_LIST_NONE;
}

static void cell(size_t row, size_t column, const void *arg, char ret[TABLE_CELL_SIZE])
{
	const struct attachment_view *v = &((const struct attachment_list *)arg)->entries[row];

	if (column == 0)
		snprintf(ret, TABLE_CELL_SIZE, "%.*s%s", TABLE_CELL_SIZE - 16, v->state.cgroup,
			 v->dead ? " (removed)" : "");
	else
		snprintf(ret, TABLE_CELL_SIZE, "%" PRIu64, (uint64_t)v->state.counts[column - 1]);
}

void attachment_list_print(const struct attachment_list *list)
{
	struct table t = {
		.columns = 1 + ISOMER_ATTACHMENT_COUNTS,
		.rows = list->n,
		.headings = { "cgroup" },
		.cell = cell,
		.arg = list,
	};

	for (int i = 0; i < ISOMER_ATTACHMENT_COUNTS; i++)
		t.headings[1 + i] = count_names[i];
	if (list->n == 0)
		return;
	printf("\nAttachments:\n");
	table_print(&t);
}

void attachment_list_json(const struct attachment_list *list, struct json *j)
{
	json_array(j, "attachments");
	for (size_t i = 0; i < list->n; i++) {
		const struct attachment_view *v = &list->entries[i];

		json_object(j, NULL);
		json_text(j, "cgroup", v->state.cgroup);
		json_boolean(j, "removed", v->dead);
		for (int c = 0; c < ISOMER_ATTACHMENT_COUNTS; c++)
			json_number(j, count_names[c], v->state.counts[c]);
		json_close_object(j);
	}
	json_close_array(j);
}
