/* SPDX-License-Identifier: BSD-3-Clause */
/* Attackers of docs/security.md that no other program of tests is about. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"
#include "support/state_checker.h"

#define GROUP      4242
#define GROUP_TEXT "4242"
#define ARGS_MAX   64

/* ---- attacks on all pins ---- */

struct arguments {
	size_t n;
	char *text[ARGS_MAX + 1];
};

static void add(struct arguments *a, const char *text)
{
	assert_in_range(a->n, 0, ARGS_MAX - 1);
	a->text[a->n] = strdup(text);
	assert_non_null(a->text[a->n++]);
}

static void arguments_done(struct arguments *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->text[i]);
}

static void add_pin(const char *path, void *arguments)
{
	struct stat sb;

	assert_return_code(lstat(path, &sb), errno);
	if (!S_ISDIR(sb.st_mode))
		add(arguments, path);
}

/* @who: up to a NULL, what stands before the program of the attacker. Every attempt must fail. */
static void attack_pins(const struct netns_fixture *ns, gid_t gid, const char *const *who,
			const char *attack)
{
	CLEANUP(arguments_done) struct arguments args = { .n = 0 };
	CLEANUP(command_done) struct command_result r = { 0 };
	size_t first, attempts = 0;

	for (; *who; who++)
		add(&args, *who);
	add(&args, guest_path("attacker"));
	add(&args, attack);
	first = args.n;
	state_walk(ns->state_dir, add_pin, &args);
	assert_true(args.n - first >= 8);

	r = command_run(&(struct process_options){
		.argv = (const char *const *)args.text, .uid = GUEST_NOBODY, .gid = gid });
	for (const char *line = r.out; (line = strchr(line, '\n')); line++)
		attempts++;
	if (r.status != 0 || attempts != args.n - first || strstr(r.out, ": done"))
		fail_msg("exit status %d\n%s%s", r.status, r.out, r.err);
}

static void attack_state(const struct netns_fixture *ns, gid_t gid, const char *const *who)
{
	static const char *const attacks[] = { "open",   "open-write", "through-read",
					       "freeze", "empty",      "overwrite" };
	CLEANUP_FREE char *before = state_dump(ns->bpffs);

	for (size_t i = 0; i < sizeof(attacks) / sizeof(*attacks); i++)
		attack_pins(ns, gid, who, attacks[i]);
	state_is_still(ns->bpffs, before);
}

static void a_member_of_the_group_changes_nothing(void **state)
{
	const struct netns_fixture *ns = netns_or_skip(state);

	loader_ok("load", "--group", GROUP_TEXT, NULL);
	loader_ok("bind", "foo", "tcp", "127.0.1.1", "80", NULL);
	attack_state(ns, GROUP, (const char *const[]){ NULL });
}

/* Root there, with all capabilities there, and nobody here. */
static void root_of_a_container_changes_nothing(void **state)
{
	static const char *const container[] = { "unshare", "--user", "--map-root-user", NULL };
	const struct netns_fixture *ns = netns_or_skip(state);
	CLEANUP(command_done) struct command_result r = command_run(&(struct process_options){
		.argv = (const char *const[]){ "unshare", "--user", "--map-root-user", "true",
					       NULL },
		.uid = GUEST_NOBODY });

	if (r.status != 0)
		skip_or_fail("user namespaces of unprivileged users");
	loader_ok("load", NULL);
	loader_ok("bind", "foo", "tcp", "127.0.1.1", "80", NULL);
	attack_state(ns, GUEST_NOBODY, container);
}

/* ---- from the wire ---- */

/* A datagram with source port 0, which no socket of the kernel can send. */
static void send_from_port_0(const char *ip, uint16_t port)
{
	CLEANUP_FD int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP);
	struct udphdr header = { .dest = htons(port), .len = htons(sizeof(header)) };
	struct sockaddr_storage to;
	socklen_t len = net_address(ip, 0, &to);

	assert_return_code(fd, errno);
	assert_int_equal(sendto(fd, &header, sizeof(header), 0, (struct sockaddr *)&to, len),
			 sizeof(header));
}

static void a_packet_from_port_0_is_the_labels_like_any_other(void **state)
{
	CLEANUP_FD int ours = -1, other = -1;
	char pid[16];

	netns_or_skip(state);
	ours = udp_bind("127.0.0.1", 1001);
	other = udp_bind("0.0.0.0", 53);
	assert_true(ours >= 0 && other >= 0);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	loader_ok("load", NULL);
	loader_ok("bind", "foo", "udp", "127.0.1.1", "53", NULL);
	send_from_port_0("127.0.1.1", 53);
	loader_ok("register-pid", pid, "foo", "udp", "127.0.0.1", "1001", NULL);
	assert_false(net_readable(ours, 0));
	send_from_port_0("127.0.1.1", 53);
	assert_true(net_readable(ours, NET_TIMEOUT_MS));
	assert_false(net_readable(other, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(a_member_of_the_group_changes_nothing),
		netns_test(root_of_a_container_changes_nothing),
		netns_test(a_packet_from_port_0_is_the_labels_like_any_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
