/* SPDX-License-Identifier: BSD-3-Clause */
/* Every command that changes something, with one of its system calls failing, or one of its
 * allocations, each in turn: it says what is wrong and has changed nothing, or all that was wanted;
 * what it could not clear away the next writer does; and the command can be given again.
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "integration/no_memory.h"
#include "integration/ordeal.h"
#include "state/cleanup.h"
#include "support/state_checker.h"

/* Each line of it says who speaks. */
static bool is_message(const char *text)
{
	static const char program[] = "isomer-loader: ";
	const char *line = text;

	for (; *line; line = strchr(line, '\n') + 1)
		if (strncmp(line, program, sizeof(program) - 1) || !strchr(line, '\n'))
			return false;
	return line > text;
}

static void check_answer(const struct command_result *r, const char *seen, const struct baseline *b)
{
	if (r->status == 0)
		check_same(seen, b->fresh);
	else if (r->status == 1 && is_message(r->err))
		check_either(seen, b->old, b->fresh);
	else
		fail_msg("exit status %d\n%s", r->status, r->err);
}

static void begin_again(const struct world *w, const struct scenario *s, const struct baseline *b,
			unsigned int k, const char *seen)
{
	char whole[TEXT_SIZE];

	check_mended(w, s, k, seen);
	give_again(s);
	describe(w, whole);
	check_same(whole, b->fresh_whole);
	check_nothing_beside(w);
	run_all(w, s->undo);
}

/* What the command @r, in which something failed, has left behind. */
static void check_left(const struct world *w, const struct scenario *s, const struct baseline *b,
		       unsigned int k, const struct command_result *r, const char *before)
{
	CLEANUP_FREE char *after = NULL;
	char seen[TEXT_SIZE];

	observe(w, seen);
	check_answer(r, seen, b);
	after = state_dump(w->ns->bpffs);
	if (r->status == 0 || strcmp(before, after))
		begin_again(w, s, b, k, seen);
}

/* Both return false when the command came to its end before number @k. */

static bool fail_call(const struct world *w, const struct scenario *s, const struct baseline *b,
		      unsigned int k)
{
	CLEANUP(command_done) struct command_result r = { 0 };
	CLEANUP_FREE char *before = state_dump(w->ns->bpffs);
	struct traced *t;
	struct words words;
	bool failed;

	words_of(s->command, &words);
	t = traced_start(words.argv, ordeal_calls(s));
	failed = traced_run_to(t, k);
	snprintf(ordeal_where, sizeof(ordeal_where), "'%s' whose call %u failed, %s", s->command, k,
		 failed ? traced_call(t) : "which it does not make");
	if (failed)
		traced_fail(t, ENOMEM);
	r = traced_finish(t);
	check_left(w, s, b, k, &r, before);
	return failed;
}

static bool fail_allocation(const struct world *w, const struct scenario *s,
			    const struct baseline *b, unsigned int k)
{
	CLEANUP(command_done) struct command_result r = { 0 };
	CLEANUP_FREE char *before = state_dump(w->ns->bpffs);
	CLEANUP(no_memory_done) struct no_memory m;
	struct words words;

	no_memory_at(k, &m);
	words_of(s->command, &words);
	snprintf(ordeal_where, sizeof(ordeal_where), "'%s' whose allocation %u failed", s->command,
		 k);
	r = command_run(&(struct process_options){
		.argv = words.argv,
		.env = m.env,
		.pass_fd = m.note,
	});
	check_left(w, s, b, k, &r, before);
	return no_memory_came(&m);
}

int main(void)
{
	int calls = ordeal_main(
		&(struct ordeal){ .points = "calls that fail", .stride = 1, .at = fail_call });
	int allocations = ordeal_main(&(struct ordeal){
		.points = "allocations that fail", .stride = 11, .at = fail_allocation });

	return calls ? calls : allocations;
}
