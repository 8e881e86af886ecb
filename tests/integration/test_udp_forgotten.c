/* SPDX-License-Identifier: BSD-3-Clause */
/* Whom a UDP server under the library knows where to answer from, and what that costs. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "integration/guest_process.h"
#include "integration/udp_asked.h"
#include "integration/udp_crowd.h"
#include "state/cleanup.h"
#include "support/net.h"

#define SOME     100
#define MANY     100000
#define TOO_MANY 320000 /* half as many again as there is room for, with those before */

#define ROOM_KIB (16 << 10)

static const struct guest_options under_foo = { .env = { "ISOMER_LABEL=foo" } };

static struct process *start_on(void **state, const char *ip)
{
	udp_dispatcher(state);
	return guest_start(&under_foo, "udp_errand", ip, "7000", NULL);
}

static struct process *start(void **state)
{
	return start_on(state, "0.0.0.0");
}

static int client(void)
{
	int fd = udp_bind("127.0.0.1", 0);

	assert_return_code(fd, -fd);
	return fd;
}

static void write_first(int fd)
{
	struct sockaddr_storage to;
	socklen_t len = net_address("198.51.100.5", 7001, &to);

	assert_int_equal(sendto(fd, "", 0, 0, (struct sockaddr *)&to, len), 0);
}

static unsigned memory_of(const struct process *p)
{
	CLEANUP_FREE char *line = NULL;
	unsigned kib = 0;
	char path[64];
	size_t size = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)process_pid(p));
	f = fopen(path, "re");
	assert_non_null(f);
	while (getline(&line, &size, f) > 0 && sscanf(line, "RssAnon: %u kB", &kib) != 1)
		;
	fclose(f);
	assert_int_not_equal(kib, 0);
	return kib;
}

/* It wrote to nobody, or to another socket. */
static void peer_that_never_wrote_is_sent_to_as_without(void **state)
{
	CLEANUP(process_stopp) struct process *p = start(state);
	CLEANUP_FD int silent = client();
	char errand[16];

	snprintf(errand, sizeof(errand), "%u", net_local_port(silent));
	udp_errand_comes_from(silent, "198.51.100.5", 7001, errand, "127.0.0.1", 7000);
	guest_said_nothing(p);
}

static void peer_that_wrote_is_sent_to_at_any_time(void **state)
{
	CLEANUP(process_stopp) struct process *p = start(state);
	CLEANUP_FD int fd = client();

	write_first(fd);
	udp_errand_comes_from(fd, "198.51.100.9", 7000, "first", "198.51.100.5", 7001);
	udp_errand_comes_from(fd, "127.0.0.1", 7000, "first", "198.51.100.5", 7001);
	guest_said_nothing(p);
}

static void last_decides_on(void **state, const char *ip)
{
	CLEANUP(process_stopp) struct process *p = start_on(state, ip);
	CLEANUP_FD int fd = client();
	struct sockaddr_storage to;
	socklen_t len = net_address("127.0.0.1", 7000, &to);

	write_first(fd);
	udp_errand_comes_from(fd, "198.51.100.9", 7000, "first", "198.51.100.5", 7001);
	assert_int_equal(sendto(fd, "", 0, 0, (struct sockaddr *)&to, len), 0);
	udp_errand_comes_from(fd, "198.51.100.9", 7000, "first", "127.0.0.1", 7000);
	write_first(fd);
	udp_errand_comes_from(fd, "198.51.100.9", 7000, "first", "198.51.100.5", 7001);
	guest_said_nothing(p);
}

static void last_datagram_decides(void **state)
{
	last_decides_on(state, "0.0.0.0");
}

/* From where everything leaves anyway. */
static void so_does_one_to_where_the_server_is_bound(void **state)
{
	last_decides_on(state, "127.0.0.1");
}

/* Also where the kernel gives huge pages to everybody. */
static void some_take_little_memory(void **state)
{
	CLEANUP(process_stopp) struct process *p = start(state);
	unsigned before = memory_of(p);

	udp_crowd_writes("198.51.100.5", 7001, 0, SOME);
	assert_in_range(memory_of(p) - before, 0, 1024);
	guest_said_nothing(p);
}

static void many_are_remembered_and_too_many_forgotten(void **state)
{
	CLEANUP(process_stopp) struct process *p = start(state);
	CLEANUP_FD int fd = client();
	unsigned before;

	write_first(fd);
	udp_errand_comes_from(fd, "198.51.100.9", 7000, "first", "198.51.100.5", 7001);
	before = memory_of(p);
	udp_crowd_writes("198.51.100.5", 7000, 0, MANY);
	udp_errand_comes_from(fd, "198.51.100.9", 7000, "first", "198.51.100.5", 7001);
	udp_crowd_writes("198.51.100.5", 7000, MANY, TOO_MANY);
	udp_errand_comes_from(fd, "198.51.100.9", 7000, "first", "127.0.0.1", 7000);
	assert_in_range(memory_of(p) - before, 0, ROOM_KIB + 256);
	guest_said_nothing(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netns_test(peer_that_never_wrote_is_sent_to_as_without),
		netns_test(peer_that_wrote_is_sent_to_at_any_time),
		netns_test(last_datagram_decides),
		netns_test(so_does_one_to_where_the_server_is_bound),
		netns_test(some_take_little_memory),
		netns_test(many_are_remembered_and_too_many_forgotten),
	};

	return cmocka_run_group_tests_name("UDP peers", tests, NULL, NULL);
}
