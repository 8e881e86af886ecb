/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const severities[] = {
	[FINDING_GOOD] = "good",
	[FINDING_NOTE] = "note",
	[FINDING_BAD] = "bad",
};

__attribute__((format(printf, 3, 0))) static void
add(struct findings *f, const struct finding *finding, const char *format, va_list args)
{
	struct finding *grown = reallocarray(f->entries, f->n + 1, sizeof(*grown));

	if (!grown) {
		f->incomplete = true;
		return;
	}
	f->entries = grown;
	grown = &f->entries[f->n++];
	*grown = *finding;
	vsnprintf(grown->text, sizeof(grown->text), format, args);
}

void findings_good(struct findings *f, const char *subject, const char *format, ...)
{
	const struct finding finding = { .severity = FINDING_GOOD, .subject = subject };
	va_list args;

	va_start(args, format);
	add(f, &finding, format, args);
	va_end(args);
}

void findings_add(struct findings *f, enum severity severity, const char *subject, const char *cost,
		  const char *remedy, const char *format, ...)
{
	const struct finding finding = {
		.severity = severity, .subject = subject, .cost = cost, .remedy = remedy
	};
	va_list args;

	va_start(args, format);
	add(f, &finding, format, args);
	va_end(args);
}

bool findings_bad(const struct findings *f)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->entries[i].severity == FINDING_BAD)
			return true;
	return false;
}

void findings_print(const struct findings *f)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct finding *finding = &f->entries[i];

		printf("%-4s  %-12s %s\n", severities[finding->severity], finding->subject,
		       finding->text);
		if (finding->cost)
			printf("      costs: %s\n", finding->cost);
		if (finding->remedy)
			printf("      mend:  %s\n", finding->remedy);
	}
}

void findings_json(const struct findings *f, struct json *j)
{
	json_array(j, "findings");
	for (size_t i = 0; i < f->n; i++) {
		const struct finding *finding = &f->entries[i];

		json_object(j, NULL);
		json_text(j, "severity", severities[finding->severity]);
		json_text(j, "subject", finding->subject);
		json_text(j, "text", finding->text);
		json_text(j, "cost", finding->cost);
		json_text(j, "remedy", finding->remedy);
		json_close_object(j);
	}
	json_close_array(j);
}

void findings_done(struct findings *f)
{
	free(f->entries);
	*f = FINDINGS_NONE;
}
