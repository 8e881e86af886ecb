/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "state/cleanup.h"
#include "state/slots.h"
#include "support/net.h"

#define ARGS_MAX 32

const char *guest_path(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), ISOMER_GUESTS_PATH "/%s", name);
	return path;
}

static char *preload_variable(const struct guest_options *o)
{
	char *text;

	assert_true(asprintf(&text, "LD_PRELOAD=%s%s%s%s%s%s%s",
			     o->preload_before ? ISOMER_GUESTS_PATH "/" : "",
			     o->preload_before ? o->preload_before : "",
			     o->preload_before ? ".so:" : "", preload_path(),
			     o->preload_after ? ":" ISOMER_GUESTS_PATH "/" : "",
			     o->preload_after ? o->preload_after : "",
			     o->preload_after ? ".so" : "") > 0);
	return text;
}

struct process *guest_start(const struct guest_options *options, const char *name, ...)
{
	const char *argv[ARGS_MAX] = { guest_path(name) }, *env[10] = { 0 };
	struct process_options o = {
		.argv = argv,
		.env = env,
		.uid = options->uid,
		.pass_fd = options->pass_fd,
		.netns = options->netns,
	};
	CLEANUP_FREE char *preload = preload_variable(options);
	struct process *p;
	size_t n = 0;
	va_list args;

	va_start(args, name);
	for (size_t i = 1; i < ARGS_MAX - 1 && (argv[i] = va_arg(args, const char *)); i++)
		;
	va_end(args);
	for (; options->env[n]; n++)
		env[n] = options->env[n];
	if (!options->alone)
		env[n] = preload;

	p = process_start(&o);
	process_wait_output(p, "ready");
	return p;
}

void guest_dispatcher(void)
{
	loader_ok("load", NULL);
	loader_ok("bind", "foo", "tcp", "127.0.0.0/8", "4321", NULL);
	loader_ok("bind", "foo", "udp", "127.0.0.0/8", "4321", NULL);
	loader_ok("bind", "foo", "tcp", "::1", "4321", NULL);
	loader_ok("bind", "foo", "udp", "::1", "4321", NULL);
}

void guest_serves(const char *ip, uint16_t port, const char *name)
{
	char greeting[64];
	int n = tcp_exchange(ip, port, NULL, greeting, sizeof(greeting));

	if (n < 0)
		fail_msg("%s port %u: %s", ip, port, strerror(-n));
	assert_string_equal(greeting, name);
}

void guest_refused(const char *ip, uint16_t port)
{
	int fd = tcp_connect(ip, port);

	if (fd >= 0)
		close(fd);
	assert_int_equal(fd, -ECONNREFUSED);
}

void guest_send(const char *ip, uint16_t port, const char *text)
{
	struct sockaddr_storage to;
	socklen_t len = net_address(ip, port, &to);
	CLEANUP_FD int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, len),
			 strlen(text));
}

static unsigned count_lines(const char *text)
{
	unsigned n = 0;

	for (const char *line = text; (line = strstr(line, "isomer: ")); line++)
		n++;
	return n;
}

void guest_said(struct process *p, const char *text)
{
	const char *err = process_stderr(p);

	if (count_lines(err) != 1 || !strstr(err, text))
		fail_msg("expected one line with '%s', got:\n%s", text, err);
}

void guest_said_nothing(struct process *p)
{
	assert_string_equal(process_stderr(p), "");
}

unsigned guest_sockets(const struct netns_fixture *ns, uint8_t domain, uint8_t protocol)
{
	uint64_t cookies[ISOMER_SLOTS];
	CLEANUP_FD int fd = -1;
	struct isomer_state st;
	unsigned n = 0;

	assert_int_equal(isomer_state_open(ns->bpffs, ns->netns_inode, &st), 0);
	assert_int_equal(isomer_slots_open(&st, "foo", domain, protocol, &fd), 0);
	assert_int_equal(isomer_slots_read(fd, cookies), 0);
	for (size_t i = 0; i < ISOMER_SLOTS; i++) {
		bool seen = cookies[i] == 0;

		for (size_t j = 0; j < i; j++)
			seen = seen || cookies[j] == cookies[i];
		n += !seen;
	}
	return n;
}
