/* SPDX-License-Identifier: BSD-3-Clause */
/* filtered FILE NAMES COMMAND…
 *
 * Runs the command under a seccomp filter that kills the process for every system call that is not
 * among the names, as in SystemCallFilter=: of calls and, with an @, groups. FILE is what
 * `systemd-analyze syscall-filter` prints.
 */
#include <seccomp.h>

#include "guest.h"

#define LINES_MAX 4096

static char *lines[LINES_MAX];
static size_t n_lines;

static void read_lines(const char *path)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;

	if (!file)
		guest_die(path);
	while (n_lines < LINES_MAX && getline(&line, &size, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		lines[n_lines] = strdup(line);
		if (!lines[n_lines++])
			guest_die("strdup");
	}
	free(line);
	fclose(file);
}

static void allow(scmp_filter_ctx filter, const char *name);

/* A group stands at the beginning of a line, what is in it below, indented. */
static void allow_group(scmp_filter_ctx filter, const char *group)
{
	size_t i = 0;

	while (i < n_lines && strcmp(lines[i], group))
		i++;
	if (i == n_lines)
		guest_die(group);
	for (i++; i < n_lines && lines[i][0] == ' '; i++)
		allow(filter, lines[i] + strspn(lines[i], " "));
}

static void allow(scmp_filter_ctx filter, const char *name)
{
	int number;

	if (*name == '#')
		return;
	if (*name == '@') {
		allow_group(filter, name);
		return;
	}
	number = seccomp_syscall_resolve_name(name);
	if (number >= 0) /* negative: of another architecture, or too new */
		(void)seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
}

int main(int argc, char **argv)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);

	if (argc < 4 || !filter)
		guest_die("usage");
	read_lines(argv[1]);
	for (char *name; (name = strsep(&argv[2], " "));)
		allow(filter, name);
	errno = -seccomp_load(filter);
	if (errno)
		guest_die("seccomp");
	execv(argv[3], argv + 3);
	guest_die(argv[3]);
}
