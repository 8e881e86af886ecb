/* SPDX-License-Identifier: BSD-3-Clause */
/* The worst that clients can do to the registrar: others are served meanwhile. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/registrar_client.h"
#include "state/cleanup.h"
#include "support/net.h"
#include "support/netns.h"

#define LEN(array) (sizeof(array) / sizeof(*(array)))

/* Sends it and says how it is answered. */
static void answered(const void *bytes, size_t size, const int *fds, size_t n, int error)
{
	CLEANUP_FD int connection = registrar_connect();
	struct isomer_registrar_reply r;

	assert_return_code(connection, -connection);
	assert_int_equal(registrar_send_raw(connection, bytes, size, fds, n), 0);
	assert_int_equal(registrar_receive_raw(connection, &r, NULL), 0);
	registrar_failed(&r, ISOMER_REGISTRAR_REQUEST, error);
}

static void a_malformed_request_is_told_so_and_changes_nothing(void **state)
{
	const struct isomer_registrar_request good =
		registrar_request(ISOMER_REGISTRAR_REGISTER, AF_INET, IPPROTO_TCP);
	struct isomer_registrar_request bad[14];
	char longer[sizeof(good) + 1] = { 0 };
	CLEANUP_FD int fd = -1;
	int many[253];

	(void)registrar_with_dispatcher(state);
	fd = tcp_listen("127.0.0.1", 8080);
	for (size_t i = 0; i < LEN(many); i++)
		many[i] = fd;
	for (size_t i = 0; i < LEN(bad); i++)
		bad[i] = good;
	bad[0].magic++;
	bad[1].version++;
	bad[2].type = 0;
	bad[3].type = 99;
	bad[4].domain = AF_UNIX;
	bad[5].protocol = IPPROTO_SCTP;
	bad[6].standby = 2;
	bad[7].reserved = 1;
	bad[8].port = 1;
	bad[9].addr[15] = 1;
	memset(bad[10].label, 'a', sizeof(bad[10].label));
	bad[11].label[sizeof(bad[11].label) - 1] = 'a';
	memcpy(bad[12].label, "../foo", sizeof("../foo"));
	bad[13].label[0] = '\0';
	for (size_t i = 0; i < LEN(bad); i++)
		answered(&bad[i], sizeof(bad[i]), &fd, 1, i < 4 ? -EPROTO : -EBADMSG);

	memcpy(longer, &good, sizeof(good));
	answered(longer, sizeof(longer), &fd, 1, -EBADMSG);
	answered(&good, sizeof(good) - 1, &fd, 1, -EBADMSG);
	answered(&good, 1, &fd, 1, -EBADMSG);
	answered(&good, sizeof(good), NULL, 0, -EBADMSG);
	answered(&good, sizeof(good), many, 2, -EBADMSG);
	answered(&good, sizeof(good), many, LEN(many), -EBADMSG);
	answered(&good, 0, &fd, 1, -EBADMSG);
	assert_int_equal(tcp_who_accepts("127.0.0.9", 4321, &fd, 1), -ECONNREFUSED);
}

static void a_client_may_go_at_any_time(void **state)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_REGISTER, AF_INET, IPPROTO_TCP);
	CLEANUP_FD int fd = -1;
	struct isomer_registrar_reply r;

	(void)registrar_with_dispatcher(state);
	fd = tcp_listen("127.0.0.1", 8080);
	for (int i = 0; i < 100; i++) {
		CLEANUP_FD int connection = registrar_connect();

		assert_return_code(connection, -connection);
		if (i % 2)
			assert_int_equal(registrar_send_raw(connection, &q, sizeof(q), &fd, 1), 0);
	}
	do /* some of these may be under way */
		r = registrar_register(AF_INET, IPPROTO_TCP, fd);
	while (r.error == -EBUSY);
	registrar_done(&r);
}

/* Of one user who asks nothing, and is asked for nothing. */
#define SILENT 300

static void a_flood_of_one_user_does_not_keep_another_waiting(void **state)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_REGISTER, AF_INET, IPPROTO_TCP);
	struct isomer_registrar_reply r;
	int silent[SILENT], refused = 0;
	CLEANUP_FD int fd = -1;

	(void)registrar_with_dispatcher(state);
	fd = tcp_listen("127.0.0.1", 8080);
	loader_ok("grant", "foo", "nobody", NULL);
	for (int i = 0; i < SILENT; i++) {
		silent[i] = registrar_connect();
		assert_return_code(silent[i], -silent[i]);
	}
	r = identity_ask(&identity_nobody, &q, fd);
	registrar_done(&r);
	/* Each hears something, or at least the end: the oldest of them where there was no room for
	 * more, and how many that are depends on how fast the others were refused. */
	for (int i = 0; i < SILENT; i++) {
		int got = registrar_receive_raw(silent[i], &r, NULL);

		assert_true(got == 0 || got == -ENODATA);
		refused += got == 0 && r.error == -EBUSY;
		close(silent[i]);
	}
	assert_true(refused > SILENT / 10);
	r = identity_ask(&identity_nobody, &q, fd);
	registrar_done(&r);
}

/* ---- a socket that its owner keeps locked ---- */

/* In the middle of a sendto(), whose data is on a page that is not there: the kernel waits for the
 * page with the socket locked, and whoever else wants the socket waits for it. */
struct locked {
	int fd, faults;
	char *page;
	pthread_t thread;
};

static void *send_page(void *arg)
{
	struct locked *l = arg;
	struct sockaddr_storage to;
	socklen_t len = net_address("127.0.0.1", 9, &to);

	(void)sendto(l->fd, l->page, 1, MSG_MORE, (struct sockaddr *)&to, len);
	return NULL;
}

static void lock(struct locked *l, int fd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .range.len = 4096, .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffd_msg fault;

	l->fd = fd;
	l->faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (l->faults < 0)
		skip_or_fail("the kernel has no userfaultfd");
	l->page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(l->page, MAP_FAILED);
	range.range.start = (uintptr_t)l->page;
	assert_return_code(ioctl(l->faults, UFFDIO_API, &api), errno);
	assert_return_code(ioctl(l->faults, UFFDIO_REGISTER, &range), errno);
	assert_int_equal(pthread_create(&l->thread, NULL, send_page, l), 0);
	/* The thread is there now, and the socket locked. */
	assert_int_equal(read(l->faults, &fault, sizeof(fault)), sizeof(fault));
}

static void unlock(struct locked *l)
{
	struct uffdio_zeropage zero = { .range = { (uintptr_t)l->page, 4096 } };

	assert_return_code(ioctl(l->faults, UFFDIO_ZEROPAGE, &zero), errno);
	assert_int_equal(pthread_join(l->thread, NULL), 0);
	munmap(l->page, 4096);
	close(l->faults);
}

/* More of them than a user may have requests. */
#define LOCKED 20

static void a_socket_kept_locked_keeps_nobody_else_waiting(void **state)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_REGISTER, AF_INET, IPPROTO_UDP);
	CLEANUP_FD int server = -1, other = -1;
	struct isomer_registrar_reply r;
	int waiting[LOCKED], refused = 0;
	struct locked l;

	(void)registrar_with_dispatcher(state);
	server = udp_bind("127.0.0.1", 1053);
	other = udp_bind("127.0.0.1", 1054);
	/* Root's own, which he may register; the group's member asks for another. */
	loader_ok("grant", "foo", "root:nogroup", NULL);
	lock(&l, server);
	for (int i = 0; i < LOCKED; i++) {
		waiting[i] = registrar_connect();
		assert_return_code(waiting[i], -waiting[i]);
		assert_int_equal(registrar_send_raw(waiting[i], &q, sizeof(q), &server, 1), 0);
	}
	r = identity_ask(&identity_nobody, &q, other);
	registrar_done(&r);
	assert_int_equal(udp_who_receives("127.0.0.9", 53, &other, 1), 0);
	unlock(&l);
	for (int i = 0; i < LOCKED; i++) {
		int got = registrar_receive_raw(waiting[i], &r, NULL);

		assert_true(got == 0 || got == -ENODATA); /* the latter who took too long */
		refused += got == 0 && r.error == -EBUSY;
		close(waiting[i]);
	}
	assert_in_range(refused, 1, LOCKED - 16); /* some may have come after unlock() */
}

struct worker {
	int parent;
	char state;
	unsigned long long pending; /* signals */
};

static struct worker read_worker(const char *pid)
{
	struct worker w = { 0 };
	char path[300], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "State: %c", &w.state);
		sscanf(line, "PPid: %d", &w.parent);
		sscanf(line, "ShdPnd: %llx", &w.pending);
	}
	if (f)
		fclose(f);
	return w;
}

/* The kernel keeps it waiting for the socket. */
static bool is_kept(const struct worker *w)
{
	return w->state == 'D';
}

/* And SIGKILL has come meanwhile. */
static bool is_killed(const struct worker *w)
{
	return is_kept(w) && w->pending >> (SIGKILL - 1) & 1;
}

static pid_t wait_for_worker(const struct process *registrar, bool (*is)(const struct worker *))
{
	pid_t found = 0;

	for (int ms = 0; found == 0 && ms < NET_TIMEOUT_MS; ms += 10) {
		DIR *processes = opendir("/proc");
		struct dirent *entry;

		assert_non_null(processes);
		while (found == 0 && (entry = readdir(processes))) {
			struct worker w = read_worker(entry->d_name);

			if (w.parent == process_pid(registrar) && is(&w))
				found = (pid_t)strtol(entry->d_name, NULL, 10);
		}
		closedir(processes);
		poll(NULL, 0, 10);
	}
	assert_int_not_equal(found, 0);
	return found;
}

/* Where finding out what a socket is takes no lock (Linux 5.10), the first call that waits for it
 * is the one that registers it, and the kernel does that before it looks at a signal. */
static bool is_registering(pid_t worker)
{
	char path[64];
	long call = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)worker);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld", &call), 1);
	fclose(f);
	return call == SYS_bpf;
}

/* Of @registrar the one that waits for a connection. */
static pid_t find_worker(const struct process *registrar)
{
	pid_t found = 0;

	for (int ms = 0; found == 0 && ms < NET_TIMEOUT_MS; ms += 10) {
		DIR *processes = opendir("/proc");
		struct dirent *entry;

		assert_non_null(processes);
		while ((entry = readdir(processes)))
			if (read_worker(entry->d_name).parent == process_pid(registrar))
				found = (pid_t)strtol(entry->d_name, NULL, 10);
		closedir(processes);
		poll(NULL, 0, found == 0 ? 10 : 0);
	}
	assert_int_not_equal(found, 0);
	return found;
}

/* Nobody is to be answered on behalf of a registrar that is no more. */
static void no_worker_outlives_its_registrar(void **state)
{
	struct process *registrar;
	bool gone = false;
	pid_t worker;

	(void)registrar_dispatcher(state);
	registrar = registrar_start();
	worker = find_worker(registrar);
	process_stop(registrar, SIGKILL);
	for (int ms = 0; !gone && ms < NET_TIMEOUT_MS; ms += 10) {
		gone = kill(worker, 0) < 0 && errno == ESRCH;
		poll(NULL, 0, gone ? 0 : 10);
	}
	assert_true(gone);
}

/* Asks for @fd, which is locked, to be registered. The connection is the caller's. */
static int ask_for_locked(int fd)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_REGISTER, AF_INET, IPPROTO_UDP);
	int connection = registrar_connect();

	assert_return_code(connection, -connection);
	assert_int_equal(registrar_send_raw(connection, &q, sizeof(q), &fd, 1), 0);
	return connection;
}

/* And what it waits for is not done when nobody reckons with that any more. */
static void who_takes_too_long_is_given_up(void **state)
{
	CLEANUP_FD int fd = -1, connection = -1;
	struct isomer_registrar_reply r;
	struct process *registrar;
	struct locked l;
	bool registers;

	(void)registrar_dispatcher(state);
	registrar = registrar_start();
	fd = udp_bind("127.0.0.1", 1053);
	lock(&l, fd);
	connection = ask_for_locked(fd);
	registers = is_registering(wait_for_worker(registrar, is_killed));
	unlock(&l);
	assert_int_equal(registrar_receive_raw(connection, &r, NULL), -ENODATA);
	assert_int_equal(udp_who_receives("127.0.0.9", 53, &fd, 1), registers ? 0 : -ECONNREFUSED);
}

/* Between the opening of the slots and their use. */
static void slots_that_are_replaced_meanwhile_are_not_used(void **state)
{
	CLEANUP_FD int fd = -1;
	struct isomer_registrar_reply r;
	struct process *registrar;
	int got = -ENODATA;

	(void)registrar_dispatcher(state);
	registrar = registrar_start();
	fd = udp_bind("127.0.0.1", 1053);
	while (got == -ENODATA) { /* given up, on a machine that is too busy */
		CLEANUP_FD int connection = -1;
		struct locked l;

		loader_ok("grant", "foo", "nobody:root", NULL);
		lock(&l, fd);
		connection = ask_for_locked(fd);
		(void)wait_for_worker(registrar, is_kept);
		loader_ok("revoke", "foo", NULL);
		unlock(&l);
		got = registrar_receive_raw(connection, &r, NULL);
	}
	assert_int_equal(got, 0);
	registrar_done(&r);
	assert_int_equal(udp_who_receives("127.0.0.9", 53, &fd, 1), 0);
}

/* Who has no right to the label is not let near the socket. */
static void without_a_grant_nobody_waits_for_a_locked_socket(void **state)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_REGISTER, AF_INET, IPPROTO_UDP);
	struct isomer_registrar_reply r;
	CLEANUP_FD int fd = -1;
	struct locked l;

	(void)registrar_with_dispatcher(state);
	fd = udp_bind("127.0.0.1", 1053);
	lock(&l, fd);
	r = identity_ask(&identity_nobody, &q, fd);
	registrar_failed(&r, ISOMER_REGISTRAR_LABEL, -EACCES);
	unlock(&l);
}

/* A listener that is shut down, or closed by its owner, between check and use. */
static void a_socket_that_changes_meanwhile_takes_no_traffic(void **state)
{
	struct isomer_registrar_request q =
		registrar_request(ISOMER_REGISTRAR_REGISTER, AF_INET, IPPROTO_TCP);
	struct isomer_registrar_reply r;

	(void)registrar_with_dispatcher(state);
	for (int i = 0; i < 50; i++) {
		CLEANUP_FD int fd = tcp_listen("127.0.0.1", 0), connection = registrar_connect();

		assert_int_equal(registrar_send_raw(connection, &q, sizeof(q), &fd, 1), 0);
		if (i % 2) {
			shutdown(fd, SHUT_RDWR);
		} else {
			close(fd);
			fd = -1;
		}
		assert_int_equal(registrar_receive_raw(connection, &r, NULL), 0);
		if (i % 2 && r.error == 0)
			assert_int_equal(tcp_connect("127.0.0.9", 4321), -ECONNREFUSED);
	}
	assert_int_equal(tcp_connect("127.0.0.9", 4321), -ECONNREFUSED);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		netns_test(a_malformed_request_is_told_so_and_changes_nothing),
		netns_test(a_client_may_go_at_any_time),
		netns_test(a_flood_of_one_user_does_not_keep_another_waiting),
		netns_test(a_socket_kept_locked_keeps_nobody_else_waiting),
		netns_test(no_worker_outlives_its_registrar),
		netns_test(who_takes_too_long_is_given_up),
		netns_test(slots_that_are_replaced_meanwhile_are_not_used),
		netns_test(without_a_grant_nobody_waits_for_a_locked_socket),
		netns_test(a_socket_that_changes_meanwhile_takes_no_traffic),
	};

	return cmocka_run_group_tests_name("registrar_abuse", tests, NULL, NULL);
}
