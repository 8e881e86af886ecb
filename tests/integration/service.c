/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include <cmocka.h>

#include "integration/server.h"
#include "integration/service.h"
#include "state/cleanup.h"

void service_prepare(void)
{
	struct command_result r;

	assert_return_code(mount("test", SERVICE_FOLDER, "tmpfs", 0, NULL), errno);
	r = command_run(&(struct process_options){
		.argv = (const char *const[]){ "cp", "-rT", server_script("services"),
					       SERVICE_FOLDER, NULL } });
	if (r.status != 0)
		fail_msg("%s", r.err);
	command_done(&r);
}

/* @text with each SERVICE_PORT in it replaced. The caller's to free. */
static char *with_port(const char *text, uint16_t port)
{
	char from[8], to[8], *found, *rest, *ret = NULL;
	CLEANUP_FREE char *copy = strdup(text);
	size_t size;
	FILE *f = open_memstream(&ret, &size);

	assert_non_null(f);
	assert_non_null(copy);
	snprintf(from, sizeof(from), "%d", SERVICE_PORT);
	snprintf(to, sizeof(to), "%u", port);
	for (rest = copy; (found = strstr(rest, from)); rest = found + strlen(from))
		fprintf(f, "%.*s%s", (int)(found - rest), rest, to);
	fprintf(f, "%s", rest);
	assert_int_equal(fclose(f), 0);
	return ret;
}

struct process *service_start(const struct service_row *row, uint16_t port, int fd)
{
	CLEANUP_FREE char *command = with_port(row->command, port), *script = NULL, *path = NULL;
	const char *own = loader_path(), *end = strrchr(own, '/');

	assert_non_null(end);
	assert_true(asprintf(&path, "PATH=%s:%.*s:" ISOMER_GUESTS_PATH, getenv("PATH"),
			     (int)(end - own), own) > 0);
	assert_true(asprintf(&script, "cd " SERVICE_FOLDER " && %s exec %s",
			     fd > 0 ? "export LISTEN_FDS=1 LISTEN_PID=$$ &&" : "", command) > 0);
	/* LD_PRELOAD: what `run` appends to, where the library needs another one before it. */
	return process_start(&(struct process_options){
		.argv = (const char *const[]){ "/bin/sh", "-c", script, NULL },
		.env = (const char *const[]){ path, "ISOMER_LOG=info", "LD_PRELOAD=", NULL },
		.pass_fd = fd,
	});
}
