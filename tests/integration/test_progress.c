/* SPDX-License-Identifier: BSD-3-Clause */
/* On a terminal, what takes longer than a second says how far it is; what is quick, and what is no
 * terminal, is left alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/operator.h"
#include "state/cleanup.h"
#include "support/netns.h"

static void begins_with(struct command_result *r, const char *text)
{
	if (strncmp(r->out, text, strlen(text)))
		fail_msg("should begin with '%s': %s%s", text, r->out, r->err);
}

/* A file without end; blanks mean nothing in JSON. */
#define ENDLESS "exec \"$0\" load-bindings - < <(yes '')"

static void a_long_file_tells_how_far_it_is_read(void **state)
{
	struct command_result r;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	r = operator_in_terminal("xterm", " MiB", "SIGTERM", "bash", "-c", ENDLESS, loader_path(),
				 NULL);
	begins_with(&r, "shown ended with -15\n\rreading bindings: ");
	operator_said(&r, 0, NULL);
}

#define MANY_LABELS(number)                                                                           \
	"exec \"$0\" load-bindings - < <(echo '{\"bindings\": ['; seq " number " | sed "              \
	"'s/.*/{\"label\": \"&\", \"prefix\": \"127.0.0.1\", \"protocol\": \"tcp\", \"port\": &},/; " \
	"$s/,$/]}/')"

/* More of them than any machine makes in a second. */
static void many_labels_tell_how_many_are_made(void **state)
{
	struct command_result r;

	(void)netns_or_skip(state);
	loader_ok("load", "--max-destinations", "240000", NULL);
	r = operator_in_terminal("xterm", " of 60000", "SIGTERM", "bash", "-c",
				 MANY_LABELS("60000"), loader_path(), NULL);
	begins_with(&r, "shown ended with -15\n");
	assert_non_null(strstr(r.out, "\rmaking labels: "));
	operator_said(&r, 0, NULL);
}

static void many_labels_tell_how_many_are_removed(void **state)
{
	struct command_result r;

	(void)netns_or_skip(state);
	loader_ok("load", "--max-destinations", "48000", NULL);
	r = command_run(&(struct process_options){
		.argv = (const char *const[]){ "bash", "-c", MANY_LABELS("12000") " >/dev/null",
					       loader_path(), NULL } });
	operator_said(&r, 0, NULL);
	r = operator_in_terminal("xterm", " of 12000", "", "bash", "-c",
				 "echo '{\"bindings\": []}' | \"$0\" load-bindings - >/dev/null",
				 loader_path(), NULL);
	begins_with(&r, "shown ended with 0\n");
	assert_non_null(strstr(r.out, "\rremoving labels: "));
	operator_said(&r, 0, NULL);
}

static int hold_lock(const struct netns_fixture *ns)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/" ISOMER_DIR_LOCK, ns->state_dir);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_return_code(fd, errno);
	assert_return_code(flock(fd, LOCK_EX), errno);
	return fd;
}

static void who_waits_is_told_for_whom_and_the_line_goes(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	char shown[128], blank[128], *place;
	CLEANUP_FD int fd = -1;
	struct command_result r;

	loader_ok(OPERATOR_LOAD, NULL);
	fd = hold_lock(ns);
	r = operator_in_terminal("xterm", "never", "", loader_path(), "--wait", "1", "bind", "web",
				 "tcp", "127.1.0.0/16", "80", NULL);
	begins_with(&r, "not shown ended with 1\n");
	snprintf(shown, sizeof(shown), "\rwaiting for another isomer-loader (pid %d)",
		 (int)getpid());
	snprintf(blank, sizeof(blank), "\r%*s\risomer-loader: another", (int)strlen(shown) - 1, "");
	place = strstr(r.out, shown);
	assert_non_null(place);
	assert_memory_equal(place + strlen(shown), blank, strlen(blank));
	operator_said(&r, 0, NULL);
}

static void what_is_quick_shows_nothing(void **state)
{
	struct command_result r;

	(void)netns_or_skip(state);
	loader_ok(OPERATOR_LOAD, NULL);
	r = operator_in_terminal("xterm", "never", "", "bash", "-c",
				 "echo '{\"bindings\": []}' | \"$0\" load-bindings -",
				 loader_path(), NULL);
	begins_with(&r, "not shown ended with 0\n\n");
	operator_said(&r, 0, NULL);
}

static void without_a_terminal_there_is_only_the_message(void **state)
{
	struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP_FD int fd = -1;
	struct command_result r;

	loader_ok(OPERATOR_LOAD, NULL);
	fd = hold_lock(ns);
	r = loader("--wait", "1", "bind", "web", "tcp", "127.1.0.0/16", "80", NULL);
	assert_int_equal(strncmp(r.err, "isomer-loader: another isomer-loader (pid ", 42), 0);
	operator_printed(&r, 1, "", "is changing the dispatcher");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(a_long_file_tells_how_far_it_is_read),
		netns_test(many_labels_tell_how_many_are_made),
		netns_test(many_labels_tell_how_many_are_removed),
		netns_test(who_waits_is_told_for_whom_and_the_line_goes),
		netns_test(what_is_quick_shows_nothing),
		netns_test(without_a_terminal_there_is_only_the_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
