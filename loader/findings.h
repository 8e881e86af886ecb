/* SPDX-License-Identifier: BSD-3-Clause */
/* What a look at the machine has found: one line for what is as it should be; what it costs and how
 * to mend it for the rest.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "loader/json.h"

enum severity {
	FINDING_GOOD,
	FINDING_NOTE, /* something works less well, or not for all */
	FINDING_BAD,  /* the dispatcher cannot be loaded, or no traffic be bound */
};

#define FINDING_TEXT_SIZE 1024

struct finding {
	enum severity severity;
	const char *subject; /* a word that scripts may count on */
	char text[FINDING_TEXT_SIZE];
	const char *cost, *remedy; /* NULL where it is good */
};

struct findings {
	struct finding *entries;
	size_t n;
	bool incomplete; /* there was no memory for one */
};

#define FINDINGS_NONE                                                                              \
	(struct findings)                                                                          \
	{                                                                                          \
		.entries = NULL                                                                    \
	}

void findings_good(struct findings *f, const char *subject, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** @cost and @remedy are to live as long as @f. */
void findings_add(struct findings *f, enum severity severity, const char *subject, const char *cost,
		  const char *remedy, const char *format, ...)
	__attribute__((format(printf, 6, 7)));

/** Is one of them bad? */
bool findings_bad(const struct findings *f);

void findings_print(const struct findings *f);

/** As the array "findings" of the document. */
void findings_json(const struct findings *f, struct json *j);

void findings_done(struct findings *f);
