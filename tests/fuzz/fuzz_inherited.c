/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets that a process is given: LISTEN_FDS, LISTEN_FDNAMES and NGINX, three values with a NUL
 * behind each, as the library and `isomer-loader register --fdnames` read them. The functions that
 * they hand the descriptors to are defined here.
 */
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "loader/command.h"
#include "loader/log.h"
#include "loader/netns.h"
#include "loader/registration.h"
#include "preload/inherited.h"
#include "preload/register.h"
#include "state/cleanup.h"
#include "state/label.h"
#include "state/parse.h"

static size_t n_found;
static bool in_order; /* as systemd passes them: 3, 4, … */

void register_found(const struct config *config, int fd)
{
	(void)config;
	CHECK(fd >= 0);
	in_order = in_order && fd == 3 + (int)n_found;
	n_found++;
}

int isomer_socket_inspect(int fd, struct isomer_socket *ret)
{
	CHECK(fd >= 3);
	*ret = (struct isomer_socket){ .protocol = IPPROTO_TCP };
	return 0;
}

int netns_check_socket(const struct netns *ns, int fd)
{
	(void)ns;
	(void)fd;
	return 0;
}

int log_failure(int r, const char *format, ...)
{
	(void)format;
	CHECK(r < 0);
	return EXIT_FAILURE;
}

int log_usage(const char *format, ...)
{
	(void)format;
	return EXIT_USAGE;
}

void log_notice(const char *format, ...)
{
	(void)format;
}

/* As many as LISTEN_FDS says, under the names of LISTEN_FDNAMES, all of them labels. */
int registrations_run(const struct context *ctx, const struct registration *list, size_t n)
{
	const char *names = getenv("LISTEN_FDNAMES");
	char count[24];

	(void)ctx;
	snprintf(count, sizeof(count), "%zu", n);
	CHECK(!strcmp(count, getenv("LISTEN_FDS")));
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(list[i].label);

		CHECK(list[i].fd == 3 + (int)i);
		CHECK(isomer_label_check(list[i].label) == 0);
		CHECK(!strncmp(names, list[i].label, len));
		names += len;
		CHECK(*names == (i + 1 < n ? ':' : '\0'));
		names++;
	}
	return EXIT_SUCCESS;
}

static void set_variable(struct fuzz_input *in, char **held, const char *name)
{
	size_t len = in->size ? strnlen((const char *)in->data, in->size) : 0;
	CLEANUP_FREE char *value = fuzz_string(in->data, len);

	fuzz_setenv(held, name, value);
	len += len < in->size;
	in->data += len;
	in->size -= len;
}

static void check_library(const struct config *config)
{
	int fds[INHERITED_MAX];
	size_t n = inherited_parse_nginx(getenv("NGINX"), fds);
	uint64_t listen_fds;

	CHECK(n <= INHERITED_MAX);
	for (size_t i = 0; i < n; i++)
		CHECK(fds[i] >= 0);
	if (isomer_parse_number(getenv("LISTEN_FDS"), strlen(getenv("LISTEN_FDS")), INHERITED_MAX,
				&listen_fds) < 0)
		listen_fds = 0;
	n_found = 0;
	in_order = true;
	inherited_register(config);
	CHECK(n_found == n + listen_fds);
	CHECK(n > 0 || in_order);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const fdnames[] = { "" }; /* the one option of `register` */
	static const struct config config;
	static const struct context ctx;
	struct fuzz_input in = { data, size };
	static char *held[4];
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	fuzz_setenv(&held[0], "LISTEN_PID", pid);
	set_variable(&in, &held[1], "LISTEN_FDS");
	set_variable(&in, &held[2], "LISTEN_FDNAMES");
	set_variable(&in, &held[3], "NGINX");
	check_library(&config);
	cmd_register.run(&ctx, NULL, 0, fdnames);
	return 0;
}
