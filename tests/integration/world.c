/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/world.h"
#include "state/bpfsys.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/state_checker.h"

/* How a verdict is written: who serves, or '-' for a refusal. */
static const char letters[] = "fbs*";

/* The contents of "@old" and "@new" in a command. They lie in a file system that ends with the
 * namespaces of the test. */
#define FILES "/mnt"
static const char *const files[] = {
	"{\"bindings\": ["
	"{\"label\": \"foo\", \"prefix\": \"127.0.1.1\", \"port\": 80, \"protocol\": \"tcp\"},"
	"{\"label\": \"foo\", \"prefix\": \"127.0.1.1\", \"port\": 53, \"protocol\": \"udp\"},"
	"{\"label\": \"bar\", \"prefix\": \"127.0.1.2\", \"port\": 80, \"protocol\": \"tcp\"},"
	"{\"label\": \"going\", \"prefix\": \"127.0.1.3\", \"port\": 80, \"protocol\": \"tcp\"},"
	"{\"label\": \"going2\", \"prefix\": \"127.0.1.3\", \"port\": 0}]}",
	"{\"bindings\": ["
	"{\"label\": \"bar\", \"prefix\": \"127.0.1.1\", \"port\": 80, \"protocol\": \"tcp\"},"
	"{\"label\": \"foo\", \"prefix\": \"127.0.1.2\", \"port\": 80, \"protocol\": \"tcp\"},"
	"{\"label\": \"coming\", \"prefix\": \"127.0.1.1\", \"port\": 53, \"protocol\": \"udp\"},"
	"{\"label\": \"foo\", \"prefix\": \"127.0.1.3\", \"port\": 80, \"protocol\": \"tcp\"},"
	"{\"label\": \"coming2\", \"prefix\": \"::1\", \"port\": 0}]}",
};

void world_open(struct world *w, const struct netns_fixture *ns)
{
	static const uint16_t ports[SERVERS] = { 1001, 1002, 1003, 80 };

	w->ns = ns;
	for (int i = 0; i < SERVERS; i++) {
		const char *ip = i == OTHER ? "0.0.0.0" : "127.0.0.1";

		w->tcp[i] = tcp_listen(ip, ports[i]);
		w->udp[i] = udp_bind(ip, i == OTHER ? 53 : ports[i]);
		assert_return_code(w->tcp[i], -w->tcp[i]);
		assert_return_code(w->udp[i], -w->udp[i]);
	}
	assert_return_code(mount("test", FILES, "tmpfs", 0, NULL), errno);
	for (int i = 0; i < 2; i++) {
		FILE *f = fopen(i ? FILES "/new" : FILES "/old", "we");

		assert_non_null(f);
		assert_int_equal(fputs(files[i], f) < 0, 0);
		assert_int_equal(fclose(f), 0);
	}
	own_cgroup_make(&w->cgroup);
	assert_return_code(symlink(w->cgroup.path, FILES "/cgroup"), errno);
}

void world_close(struct world *w)
{
	own_cgroup_done(&w->cgroup);
	for (int i = 0; i < SERVERS; i++) {
		close(w->tcp[i]);
		close(w->udp[i]);
	}
}

static char verdict(int who)
{
	if (who == -ECONNREFUSED)
		return '-';
	if (who < 0)
		fail_msg("a client was neither served nor refused: %s", strerror(-who));
	return letters[who];
}

/* Appends to a text of TEXT_SIZE. */
static __attribute__((format(printf, 2, 3))) void append(char *text, const char *format, ...)
{
	size_t used = strlen(text);
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text + used, TEXT_SIZE - used, format, ap);
	va_end(ap);
	assert_in_range(n, 0, TEXT_SIZE - used - 1);
}

void observe(const struct world *w, char ret[TEXT_SIZE])
{
	CLEANUP(command_done) struct command_result r = loader("bindings", NULL);

	ret[0] = '\0';
	append(ret, "clients: %c%c%c%c\nstatus %d\n%s",
	       verdict(tcp_who_accepts("127.0.1.1", 80, w->tcp, SERVERS)),
	       verdict(tcp_who_accepts("127.0.1.2", 80, w->tcp, SERVERS)),
	       verdict(tcp_who_accepts("127.0.1.3", 80, w->tcp, SERVERS)),
	       verdict(udp_who_receives("127.0.1.1", 53, w->udp, SERVERS)), r.status, r.out);
}

void describe(const struct world *w, char ret[TEXT_SIZE])
{
	static const char *const labels[] = { "foo", "fresh" };
	struct state_summary summary;
	char path[PATH_MAX];
	struct stat sb;

	observe(w, ret);
	if (strstr(ret, "status 1"))
		return; /* not loaded */
	summary = state_check(w->ns);
	append(ret, "room for %u, %u attachments\n", summary.max_destinations, summary.attachments);
	for (size_t i = 0; i < sizeof(labels) / sizeof(*labels); i++) {
		snprintf(path, sizeof(path), "%s/labels/%s/ipv4-tcp", w->ns->state_dir, labels[i]);
		if (stat(path, &sb) == 0)
			append(ret, "%s is %u:%u's, mode %o\n", labels[i], sb.st_uid, sb.st_gid,
			       sb.st_mode & 07777);
	}
}

void check_nothing_beside(const struct world *w)
{
	DIR *dir = opendir(w->ns->bpffs);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (strstr(entry->d_name, "_dispatcher-"))
			fail_msg("%s was left behind", entry->d_name);
	closedir(dir);
}

/* ---- commands ---- */

void words_of(const char *command, struct words *ret)
{
	char *rest, *word;
	size_t n = 0;

	snprintf(ret->text, sizeof(ret->text), "%s", command);
	snprintf(ret->pid, sizeof(ret->pid), "%d", (int)getpid());
	ret->argv[n++] = loader_path();
	for (word = strtok_r(ret->text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		assert_in_range(n, 1, WORDS_MAX - 1);
		ret->argv[n++] = !strcmp(word, "@pid")      ? ret->pid
				 : !strcmp(word, "@old")    ? FILES "/old"
				 : !strcmp(word, "@new")    ? FILES "/new"
				 : !strcmp(word, "@cgroup") ? FILES "/cgroup"
							    : word;
	}
	ret->argv[n] = NULL;
}

struct command_result run(const char *command)
{
	struct words words;

	words_of(command, &words);
	return command_run(&(struct process_options){ .argv = words.argv });
}

/* Makes the state one of a namespace that has gone, or that was half unloaded. Taking the pin away
 * alone would detach the program too, but some time later. */
static void detach(const struct world *w)
{
	union bpf_attr attr;
	char path[PATH_MAX];
	int fd = -1;

	snprintf(path, sizeof(path), "%s/link", w->ns->state_dir);
	assert_int_equal(bpfsys_obj_get(path, 0, &fd), 0);
	memset(&attr, 0, sizeof(attr));
	attr.link_detach.link_fd = (uint32_t)fd;
	assert_return_code(syscall(__NR_bpf, BPF_LINK_DETACH, &attr, sizeof(attr)), errno);
	close(fd);
	assert_return_code(unlink(path), errno);
}

void run_ok(const struct world *w, const char *command)
{
	CLEANUP(command_done) struct command_result r = { 0 };

	if (!strcmp(command, "!detach")) {
		detach(w);
		return;
	}
	r = run(command);
	if (r.status)
		fail_msg("isomer-loader %s: exit status %d\n%s%s", command, r.status, r.out, r.err);
}

void run_all(const struct world *w, const char *const *commands)
{
	for (size_t i = 0; commands && commands[i]; i++)
		run_ok(w, commands[i]);
}
