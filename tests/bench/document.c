/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/figures.h"
#include "state/cleanup.h"

static char *read_all(const char *path)
{
	FILE *file = fopen(path, "re");
	struct stat st;
	char *text;

	if (!file || fstat(fileno(file), &st) < 0)
		figures_give_up(path);
	text = calloc(1, (size_t)st.st_size + 1);
	if (!text || fread(text, 1, (size_t)st.st_size, file) != (size_t)st.st_size)
		figures_give_up(path);
	fclose(file);
	return text;
}

static char *find_line(char *text, const char *before, const char *name)
{
	char line[128];
	char *at;

	snprintf(line, sizeof(line), "<!-- %s%s -->\n", before, name);
	at = strstr(text, line);
	if (!at) {
		fprintf(stderr, "the document has no line %s", line);
		exit(EXIT_FAILURE);
	}
	return at;
}

void document_write(const char *path, const char *name, const char *text)
{
	CLEANUP_FREE char *old = read_all(path);
	char *begin = strchr(find_line(old, "", name), '\n');
	const char *end = find_line(begin, "end of ", name);
	FILE *file = fopen(path, "we");

	if (!file || fprintf(file, "%.*s\n%s\n%s", (int)(begin - old), old, text, end) < 0 ||
	    fclose(file) != 0)
		figures_give_up(path);
}
