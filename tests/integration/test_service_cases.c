/* SPDX-License-Identifier: BSD-3-Clause */
/* What services do that could get in the way of the library: what happens then, and what the
 * operator does, as docs/servers.md says.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <signal.h>
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

#include "integration/guest_process.h"
#include "integration/registrar_client.h"
#include "integration/service_table.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"

#define HEADING "Cases"
#define FOO     "ISOMER_LABEL=foo"
#define INFO    "ISOMER_LOG=info"
#define ROOT    "/mnt"

static const struct guest_options by_label = { .env = { FOO, INFO } };

static void register_pid(struct process *p)
{
	loader_register(process_pid(p), "foo", "tcp", "127.0.0.1", 8080);
}

static void chroot_before_listen(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	registrar_start();
	assert_return_code(mount("none", ROOT, "tmpfs", 0, "mode=0755"), errno);

	/* Neither way leads out of it; from outside it goes. */
	p = guest_start(&by_label, "cases", "chroot", ROOT, NULL);
	guest_said(p, "register-pid");
	guest_refused("127.0.0.9", 4321);
	register_pid(p);
	guest_serves("127.0.0.9", 4321, "chroot");
	process_stop(p, SIGTERM);
	guest_refused("127.0.0.9", 4321);

	/* The registrar's socket in it is enough. */
	assert_return_code(mkdir(ROOT "/run", 0755), errno);
	assert_return_code(mkdir(ROOT "/run/isomer", 0755), errno);
	assert_return_code(mount("/run/isomer", ROOT "/run/isomer", NULL, MS_BIND, NULL), errno);
	p = guest_start(&by_label, "cases", "chroot", ROOT, NULL);
	guest_said(p, "registered tcp 127.0.0.1:8080 under 'foo'");
	guest_serves("127.0.0.9", 4321, "chroot");
	process_stop(p, SIGTERM);
}

static void unix_sockets_forbidden(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	registrar_start();
	p = guest_start(&by_label, "cases", "no-unix", NULL);
	guest_said(p, "RestrictAddressFamilies=");
	guest_refused("127.0.0.9", 4321);
	register_pid(p);
	guest_serves("127.0.0.9", 4321, "no-unix");
	process_stop(p, SIGTERM);
}

/* One listener goes by the registrar and the other directly: the filter would kill for that in the
 * one thread, and without a registrar only the other is registered. */
static void filter_on_one_thread(void **state)
{
	const struct guest_options rules = {
		.env = { "ISOMER_RULES=foo=tcp:*:8080;bar=tcp:*:8081" }
	};
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	loader_ok("bind", "bar", "tcp", "127.0.0.0/8", "81", NULL);
	p = guest_start(&rules, "cases", "one-thread", NULL);
	guest_said(p, "a seccomp filter is in force");
	guest_refused("127.0.0.9", 4321);
	guest_serves("127.0.0.9", 81, "main");
	process_stop(p, SIGTERM);

	registrar_start();
	p = guest_start(&rules, "cases", "one-thread", NULL);
	guest_said_nothing(p);
	guest_serves("127.0.0.9", 4321, "one-thread");
	guest_serves("127.0.0.9", 81, "main");
	process_stop(p, SIGTERM);
}

static void socket_passed_on_after_registering(void **state)
{
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	p = guest_start(&by_label, "cases", "hands-over", NULL);
	assert_int_equal(process_wait(p), 0); /* who registered it is gone */
	for (int i = 0; i < 5; i++)
		guest_serves("127.0.0.9", 4321, "hands-over");
}

/* Nobody in there is the root to whom the state belongs, so the library does not trust it; the
 * registrar knows who root of that namespace is outside. */
static void private_user_namespace(void **state)
{
	CLEANUP_FREE char *preload = NULL;
	struct process *p;

	(void)netns_or_skip(state);
	guest_dispatcher();
	registrar_start();
	assert_true(asprintf(&preload, "LD_PRELOAD=%s", preload_path()) > 0);
	for (int granted = 0; granted < 2; granted++) {
		if (granted)
			loader_ok("grant", "foo", "nobody", NULL);
		p = process_start(&(struct process_options){
			.argv = (const char *const[]){ "unshare", "--user", "--map-root-user",
						       guest_path("server"), "tcp,127.0.0.1,8080",
						       NULL },
			.env = (const char *const[]){ preload, FOO, INFO, NULL },
			.uid = GUEST_NOBODY,
		});
		process_wait_output(p, "ready");
		if (granted) {
			guest_said(p, "registered tcp 127.0.0.1:8080 under 'foo'");
			guest_serves("127.0.0.9", 4321, "guest");
		} else {
			guest_said(p, "grant foo 65534");
			guest_refused("127.0.0.9", 4321);
		}
		process_stop(p, SIGTERM);
	}
}

/* ---- SO_ATTACH_REUSEPORT_EBPF ---- */

static int sockets_array(void)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_REUSEPORT_SOCKARRAY,
				.key_size = 4,
				.value_size = 8,
				.max_entries = 2 };
	int fd = (int)syscall(__NR_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));

	assert_return_code(fd, errno);
	return fd;
}

static int array_put(int map, uint32_t key, int socket)
{
	uint64_t value = (uint64_t)socket;
	union bpf_attr attr = { .map_fd = (uint32_t)map,
				.key = (uintptr_t)&key,
				.value = (uintptr_t)&value };

	return syscall(__NR_bpf, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

/* Has the program of a group choose what is first in the array. */
static void choose_first(int group, int map)
{
	const struct bpf_insn code[] = {
		{ BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, -4, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_10, 0, 0 },
		{ BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_3, 0, 0, -4 },
		{ BPF_LD | BPF_IMM | BPF_DW, BPF_REG_2, BPF_PSEUDO_MAP_FD, 0, map },
		{ 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, 0, 0, 0 },
		{ BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_sk_select_reuseport },
		{ BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, SK_PASS },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SK_REUSEPORT,
				.insns = (uintptr_t)code,
				.insn_cnt = sizeof(code) / sizeof(*code),
				.license = (uintptr_t) "GPL" };
	CLEANUP_FD int program = (int)syscall(__NR_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	assert_return_code(program, errno);
	assert_return_code(
		setsockopt(group, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program, sizeof(program)),
		errno);
}

/* The kernel keeps a socket in one kind of map: what is in such an array cannot be registered, nor
 * put there once it is. But of the group it takes one member that is registered for the program to
 * be asked, and that may be a socket of another process that gets nothing. */
static void reuseport_with_a_socket_array(void **state)
{
	CLEANUP_FD int map = -1, listener = -1, registered = -1;
	CLEANUP(command_done) struct command_result r = { 0 };
	char pid[16];

	(void)netns_or_skip(state);
	guest_dispatcher();
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	map = sockets_array();
	registered = tcp_listen_reuseport("127.0.0.1", 8081);
	loader_register(getpid(), "foo", "tcp", "127.0.0.1", 8081);
	assert_int_equal(array_put(map, 1, registered), -EBUSY);
	close(TAKE_FD(registered));

	listener = tcp_listen_reuseport("127.0.0.1", 8080);
	assert_int_equal(array_put(map, 0, listener), 0);
	choose_first(listener, map);
	r = loader("register-pid", pid, "foo", "tcp", "127.0.0.1", "8080", NULL);
	assert_int_equal(r.status, 1);
	guest_refused("127.0.0.9", 4321);

	guest_start(&by_label, "server", "tcp,127.0.0.1,8080,reuseport", NULL);
	for (int i = 0; i < 20; i++)
		assert_int_equal(tcp_who_accepts("127.0.0.9", 4321, &listener, 1), 0);
}

static void rows_and_tests_agree(void **state);

static const struct CMUnitTest tests[] = {
	netns_test(chroot_before_listen),       netns_test(unix_sockets_forbidden),
	netns_test(filter_on_one_thread),       netns_test(socket_passed_on_after_registering),
	netns_test(private_user_namespace),     netns_test(reuseport_with_a_socket_array),
	cmocka_unit_test(rows_and_tests_agree),
};

static void rows_and_tests_agree(void **state)
{
	(void)state;
	service_rows_match(HEADING, tests, sizeof(tests) / sizeof(*tests), __func__);
}

int main(void)
{
	return cmocka_run_group_tests_name("service cases", tests, NULL, NULL);
}
