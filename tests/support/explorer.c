/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "state/cleanup.h"
#include "support/explorer.h"

#define ANSWERS_MAX 4096 /* bytes of a process */
#define WORLD_MAX   8192
#define DEPTH_MAX   400
#define ARENA       (1 << 20)

struct process {
	bool gone; /* ended or killed */
	size_t n;
	unsigned char answers[ANSWERS_MAX];
};

struct state {
	struct process process[EXPLORER_PROCESSES];
	unsigned char world[WORLD_MAX];
};

/* ---- states that were met ---- */

/* 128 bits: two that differ have the same mark with a chance of 1 in 2^90 for a billion states. */
struct mark {
	uint64_t a, b;
};

struct marks {
	struct mark *mark; /* a = 0: free */
	size_t n, room;
};

static void mix_word(struct mark *m, uint64_t word)
{
	m->a = (m->a ^ word) * 0xff51afd7ed558ccd;
	m->a ^= m->a >> 32;
	m->b = (m->b + word) * 0x9e3779b97f4a7c15;
	m->b ^= m->b >> 29;
}

static void mix(struct mark *m, const unsigned char *data, size_t size)
{
	uint64_t word = 0;

	for (; size >= sizeof(word); data += sizeof(word), size -= sizeof(word)) {
		memcpy(&word, data, sizeof(word));
		mix_word(m, word);
	}
	word = 0;
	memcpy(&word, data, size);
	mix_word(m, word);
}

static struct mark mark_of(const struct exploration *e, const struct state *s)
{
	struct mark m = { 0xcbf29ce484222325, 1 };

	mix(&m, s->world, e->world_size);
	for (unsigned int p = 0; p < e->processes; p++) {
		mix_word(&m, 2 * s->process[p].n + s->process[p].gone);
		mix(&m, s->process[p].answers, s->process[p].n);
	}
	m.a |= 1;
	return m;
}

/* Returns whether it is new. */
static bool insert(struct marks *marks, struct mark m)
{
	size_t i = m.b & (marks->room - 1);

	for (; marks->mark[i].a; i = (i + 1) & (marks->room - 1))
		if (marks->mark[i].a == m.a && marks->mark[i].b == m.b)
			return false;
	marks->mark[i] = m;
	return true;
}

static void grow(struct marks *marks)
{
	struct marks more = { .room = marks->room ? 2 * marks->room : 1 << 16 };

	more.mark = calloc(more.room, sizeof(*more.mark));
	assert_non_null(more.mark);
	for (size_t i = 0; i < marks->room; i++)
		if (marks->mark[i].a)
			insert(&more, marks->mark[i]);
	more.n = marks->n;
	free(marks->mark);
	*marks = more;
}

static bool is_new(struct marks *marks, struct mark m)
{
	if (2 * marks->n >= marks->room)
		grow(marks);
	if (!insert(marks, m))
		return false;
	marks->n++;
	return true;
}

/* ---- the process that runs ---- */

enum { STOPPED = 1, BLOCKED };

static struct {
	const struct exploration *e;
	struct state *state;
	unsigned int process;
	size_t cursor; /* in its answers */
	bool made;     /* has it made its one new call? */
	jmp_buf out;
	size_t allocated;

	/* How the state was reached. */
	struct {
		unsigned int process;
		const char *name;
	} path[DEPTH_MAX];
	unsigned int depth;
} now;

static unsigned char arena[ARENA] __attribute__((aligned(16)));

void *explorer_world(void)
{
	return now.state->world;
}

unsigned int explorer_process(void)
{
	return now.process;
}

bool explorer_has_ended(unsigned int process)
{
	return now.state->process[process].gone;
}

bool explorer_begin(const char *name, void *answer, size_t size)
{
	struct process *p = &now.state->process[now.process];

	if (now.cursor < p->n) {
		memcpy(answer, p->answers + now.cursor, size);
		now.cursor += size;
		return false;
	}
	if (now.made)
		longjmp(now.out, STOPPED);
	now.made = true;
	now.path[now.depth].name = name;
	return true;
}

void explorer_answer(const void *answer, size_t size)
{
	struct process *p = &now.state->process[now.process];

	assert_in_range(p->n + size, 0, ANSWERS_MAX);
	memcpy(p->answers + p->n, answer, size);
	p->n += size;
	now.cursor = p->n;
}

void explorer_block(void)
{
	longjmp(now.out, BLOCKED);
}

void *explorer_alloc(size_t size)
{
	void *p = arena + now.allocated;

	now.allocated += (size + 15) / 16 * 16;
	assert_in_range(now.allocated, 0, ARENA);
	memset(p, 0, size);
	return p;
}

void explorer_check_that(bool condition, const char *text)
{
	if (condition)
		return;
	for (unsigned int i = 0; i <= now.depth && i < DEPTH_MAX; i++)
		if (now.path[i].name)
			print_error("%u: %s\n", now.path[i].process, now.path[i].name);
	fail_msg("after these calls it does not hold: %s", text);
}

/* Lets @process make one call. False: it waits. */
static bool step(struct state *s, unsigned int process)
{
	struct process *p = &s->process[process];
	int why;

	now.state = s;
	now.process = process;
	now.cursor = now.allocated = 0;
	now.made = false;
	now.path[now.depth].process = process;
	why = setjmp(now.out);
	if (why == 0) {
		now.e->run(process);
		/* What it was told does not matter any more. */
		p->gone = true;
		p->n = 0;
	}
	return why != BLOCKED;
}

static bool kill_process(struct state *s, unsigned int process)
{
	now.state = s;
	now.path[now.depth].process = process;
	now.path[now.depth].name = "is killed";
	if (!now.e->kill || !now.e->kill(process))
		return false;
	s->process[process].gone = true;
	s->process[process].n = 0;
	return true;
}

/* ---- all of them ---- */

static void copy(struct state *to, const struct state *from)
{
	memcpy(to->world, from->world, now.e->world_size);
	for (unsigned int p = 0; p < now.e->processes; p++) {
		to->process[p].gone = from->process[p].gone;
		to->process[p].n = from->process[p].n;
		memcpy(to->process[p].answers, from->process[p].answers, from->process[p].n);
	}
}

/* Depth first; a level of the stack holds what the next one is made of. */
static void visit(struct state *stack, struct marks *marks, struct explorer_count *count)
{
	struct state *s = stack, *next = stack + 1;
	bool stuck = true;

	if (!is_new(marks, mark_of(now.e, s)))
		return;
	count->states++;
	assert_in_range(now.depth, 0, DEPTH_MAX - 2);
	for (unsigned int p = 0; p < now.e->processes; p++) {
		if (s->process[p].gone)
			continue;
		for (int killed = 0; killed < 2; killed++) {
			copy(next, s);
			if (!(killed ? kill_process(next, p) : step(next, p)))
				continue;
			stuck = stuck && killed;
			now.depth++;
			visit(next, marks, count);
			now.depth--;
		}
	}
	if (!stuck)
		return;
	count->ends++;
	now.state = s;
	now.path[now.depth].name = NULL;
	now.e->end();
}

struct explorer_count explore(const struct exploration *e)
{
	CLEANUP_FREE struct state *stack = calloc(DEPTH_MAX, sizeof(*stack));
	struct explorer_count count = { 0 };
	struct marks marks = { 0 };

	assert_non_null(stack);
	assert_in_range(e->world_size, 1, WORLD_MAX);
	assert_in_range(e->processes, 1, EXPLORER_PROCESSES);
	memcpy(stack->world, e->world, e->world_size);
	now.e = e;
	now.depth = 0;
	visit(stack, &marks, &count);
	free(marks.mark);
	return count;
}
