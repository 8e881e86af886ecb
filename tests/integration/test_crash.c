/* SPDX-License-Identifier: BSD-3-Clause */
/* Every command that changes something, killed between any two of its system calls: what was in
 * force is in force, or what was wanted is; the next writer mends the rest; and the command can be
 * given again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "integration/ordeal.h"

/* Returns false when the command came to its end before call @k. */
static bool kill_at(const struct world *w, const struct scenario *s, const struct baseline *b,
		    unsigned int k)
{
	char seen[TEXT_SIZE], whole[TEXT_SIZE];
	struct traced *t;
	struct words words;
	bool killed;

	words_of(s->command, &words);
	t = traced_start(words.argv, ordeal_calls(s));
	killed = traced_run_to(t, k);
	snprintf(ordeal_where, sizeof(ordeal_where), "'%s' killed before call %u, %s", s->command,
		 k, killed ? traced_call(t) : "which it does not make");
	traced_kill(t);

	observe(w, seen);
	check_either(seen, b->old, b->fresh);
	check_mended(w, s, k, seen);
	give_again(s);
	describe(w, whole);
	check_same(whole, b->fresh_whole);
	check_nothing_beside(w);
	run_all(w, s->undo);
	return killed;
}

int main(void)
{
	return ordeal_main(&(struct ordeal){ .points = "kill points", .stride = 1, .at = kill_at });
}
