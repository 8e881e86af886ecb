/* SPDX-License-Identifier: BSD-3-Clause */
/* Attackers of docs/security.md that no other program of tests is about. */
#include <errno.h>
#include <inttypes.h>
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
#include "loader/caps.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"
#include "support/state_checker.h"
#include "support/syscall_killer.h"

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

/* ---- what a command may do ---- */

static void read_capabilities(pid_t pid, uint64_t *ret_permitted, uint64_t *ret_effective)
{
	char path[64], line[256];
	FILE *f;

	*ret_permitted = *ret_effective = UINT64_MAX;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "CapPrm: %" SCNx64, ret_permitted);
		sscanf(line, "CapEff: %" SCNx64, ret_effective);
	}
	fclose(f);
}

/* What it has, of what this test has, when it makes its first call that changes or reads any state,
 * and what it might have. */
static void check_capabilities(uint64_t wanted, const char *const *argv)
{
	struct traced *t = traced_start(argv, SYSCALLS_ALL);
	uint64_t ours, permitted, effective;

	assert_true(traced_run_to(t, 1));
	read_capabilities(getpid(), &ours, &effective);
	read_capabilities(traced_pid(t), &permitted, &effective);
	traced_kill(t);
	if (permitted != (wanted & ours) || effective != permitted)
		fail_msg("'%s' has capabilities %" PRIx64 ", not %" PRIx64, argv[1], permitted,
			 wanted & ours);
}

#define COMMAND(...) ((const char *const[]){ loader_path(), __VA_ARGS__, NULL })

static void commands_keep_the_capabilities_that_they_use(void **state)
{
	netns_or_skip(state);
	check_capabilities(CAPS_CHANGE | CAPS(CAP_SYS_ADMIN) | CAPS(CAP_FOWNER), COMMAND("load"));
	loader_ok("load", NULL);
	check_capabilities(CAPS_CHANGE, COMMAND("bind", "foo", "tcp", "127.0.1.1", "80"));
	check_capabilities(CAPS_CHANGE, COMMAND("load-bindings", "/dev/null"));
	check_capabilities(CAPS_CHANGE, COMMAND("upgrade"));
	check_capabilities(CAPS_CHANGE | CAPS_OWNERS, COMMAND("revoke", "foo"));
	check_capabilities(CAPS_READ, COMMAND("bindings"));
	check_capabilities(CAPS_READ | CAPS(CAP_NET_BIND_SERVICE), COMMAND("metrics", "--once"));
}

/* ---- from the wire ---- */

/* A datagram with source port 0, which no socket of the kernel can send. */
static void send_from_port_0(const char *ip, uint16_t port)
{
	struct udphdr header = { .dest = htons(port), .len = htons(sizeof(header)) };
	struct sockaddr_storage to;
	socklen_t len = net_address(ip, 0, &to);
	CLEANUP_FD int fd = socket(to.ss_family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP);
	int sum = offsetof(struct udphdr, check);

	assert_return_code(fd, errno);
	/* IPv4 can do without. */
	if (to.ss_family == AF_INET6)
		assert_return_code(setsockopt(fd, IPPROTO_IPV6, IPV6_CHECKSUM, &sum, sizeof(sum)),
				   errno);
	assert_int_equal(sendto(fd, &header, sizeof(header), 0, (struct sockaddr *)&to, len),
			 sizeof(header));
}

/* Of UDP under the label foo, as `metrics` tells it. */
static void counted_are(const char *domain, unsigned int lookups)
{
	CLEANUP(command_done) struct command_result r = loader("metrics", "--once", NULL);
	char line[128];

	snprintf(line, sizeof(line),
		 "\nisomer_lookups_total{label=\"foo\",domain=\"%s\",protocol=\"udp\"} %u\n",
		 domain, lookups);
	if (!strstr(r.out, line))
		fail_msg("there should be%sin\n%s", line, r.out);
}

/* @own: where the label's server is; @ip: where the label is bound. */
static void check_port_0(const char *own, const char *ip, const char *any, const char *domain)
{
	CLEANUP_FD int ours = udp_bind(own, 1001), other = udp_bind(any, 53);
	char pid[16];

	assert_true(ours >= 0 && other >= 0);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	loader_ok("bind", "foo", "udp", ip, "53", NULL);
	send_from_port_0(ip, 53);
	loader_ok("register-pid", pid, "foo", "udp", own, "1001", NULL);
	assert_false(net_readable(ours, 0));
	send_from_port_0(ip, 53);
	assert_true(net_readable(ours, NET_TIMEOUT_MS));
	assert_false(net_readable(other, 0));
	counted_are(domain, 2);
}

static void a_packet_from_port_0_is_the_labels_like_any_other(void **state)
{
	netns_or_skip(state);
	loader_ok("load", NULL);
	check_port_0("127.0.0.1", "127.0.1.1", "0.0.0.0", "ipv4");
}

static void a_packet_from_port_0_of_ipv6_is_too(void **state)
{
	netns_or_skip(state);
	loader_ok("load", NULL);
	check_port_0("::1", "::1", "::", "ipv6");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(a_member_of_the_group_changes_nothing),
		netns_test(root_of_a_container_changes_nothing),
		netns_test(commands_keep_the_capabilities_that_they_use),
		netns_test(a_packet_from_port_0_is_the_labels_like_any_other),
		netns_test(a_packet_from_port_0_of_ipv6_is_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
