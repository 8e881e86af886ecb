/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "preload/places.h"

static const uint64_t no_slots[ISOMER_SLOTS];

static struct isomer_socket ipv4(uint32_t addr, uint16_t port, uint64_t cookie)
{
	struct isomer_socket s = {
		.protocol = IPPROTO_TCP, .ipv4 = true, .port = port, .cookie = cookie
	};
	struct sockaddr_in *in = (struct sockaddr_in *)&s.local;

	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(addr);
	return s;
}

static enum place_claim claim(struct place *p, uint64_t address, uint64_t cookie,
			      const uint64_t slots[ISOMER_SLOTS], unsigned *ret_index)
{
	struct place_view view = place_look(p);

	return place_claim(p, &view, slots, address, cookie, ret_index);
}

static bool alive(struct place *p, const uint64_t slots[ISOMER_SLOTS])
{
	struct place_view view = place_look(p);

	return place_alive(&view, slots);
}

/* Claims and settles, as if the socket had been put into the slots. */
static enum place_claim keep(struct place *p, uint64_t address, uint64_t cookie,
			     const uint64_t slots[ISOMER_SLOTS])
{
	unsigned index = 42;
	enum place_claim claimed = claim(p, address, cookie, slots, &index);

	if (claimed == PLACE_FIRST || claimed == PLACE_FURTHER)
		place_settle(p, index, cookie);
	return claimed;
}

static void addresses_differ_in_everything_that_counts(void **state)
{
	struct isomer_socket s = ipv4(INADDR_LOOPBACK, 80, 1), other = s;
	uint64_t address = place_address("web", AF_INET, &s);
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&s.local;

	(void)state;
	other.cookie = 2;
	assert_true(address == place_address("web", AF_INET, &other));
	assert_int_equal(place_port(address), 80);
	assert_true(address != place_address("wec", AF_INET, &s));
	assert_true(address != place_address("web", AF_INET6, &s));
	other = ipv4(INADDR_LOOPBACK, 81, 1);
	assert_true(address != place_address("web", AF_INET, &other));
	other = ipv4(INADDR_ANY, 80, 1);
	assert_true(address != place_address("web", AF_INET, &other));
	other = ipv4(INADDR_LOOPBACK, 80, 1);
	other.protocol = IPPROTO_UDP;
	assert_true(address != place_address("web", AF_INET, &other));
	other = ipv4(INADDR_ANY, 0, 1);
	assert_true(place_address("web", AF_INET, &other) != 0);

	memset(&s.local, 0, sizeof(s.local));
	in6->sin6_family = AF_INET6;
	in6->sin6_addr = in6addr_loopback;
	other = s;
	in6 = (struct sockaddr_in6 *)&other.local;
	assert_true(place_address("a", AF_INET6, &s) == place_address("a", AF_INET6, &other));
	in6->sin6_scope_id = 1;
	assert_true(place_address("a", AF_INET6, &s) != place_address("a", AF_INET6, &other));
	in6->sin6_scope_id = 0;
	in6->sin6_addr = in6addr_any;
	assert_true(place_address("a", AF_INET6, &s) != place_address("a", AF_INET6, &other));
}

static void two_sockets_of_an_address_are_kept(void **state)
{
	uint64_t slots[ISOMER_SLOTS] = { [0] = 12, [1] = 11, [2] = 12 };
	struct place p = { 0 };

	(void)state;
	assert_int_equal(keep(&p, 1, 11, no_slots), PLACE_FIRST);
	assert_int_equal(keep(&p, 1, 12, slots), PLACE_FURTHER);
	assert_int_equal(keep(&p, 1, 13, slots), PLACE_FULL);
	assert_int_equal(keep(&p, 1, 11, slots), PLACE_KEPT);
	assert_int_equal(keep(&p, 1, 12, slots), PLACE_KEPT);
}

static void a_closed_socket_makes_room(void **state)
{
	uint64_t slots[ISOMER_SLOTS] = { [15] = 12 };
	struct place p = { 0 };

	(void)state;
	assert_int_equal(keep(&p, 1, 11, no_slots), PLACE_FIRST);
	assert_int_equal(keep(&p, 1, 12, (uint64_t[ISOMER_SLOTS]){ 11 }), PLACE_FURTHER);
	assert_int_equal(keep(&p, 1, 13, slots), PLACE_FURTHER); /* 11 is gone */
	assert_int_equal(keep(&p, 1, 14, no_slots), PLACE_FIRST);
}

static void a_place_belongs_to_one_address_while_a_socket_lives(void **state)
{
	uint64_t slots[ISOMER_SLOTS] = { [3] = 11 };
	struct place p = { 0 };

	(void)state;
	assert_false(alive(&p, slots));
	assert_int_equal(keep(&p, 1, 11, no_slots), PLACE_FIRST);
	assert_true(alive(&p, slots));
	assert_int_equal(keep(&p, 2, 12, slots), PLACE_OTHER);
	assert_false(alive(&p, no_slots));
	assert_int_equal(keep(&p, 2, 12, no_slots), PLACE_FIRST);
	assert_int_equal(keep(&p, 1, 13, (uint64_t[ISOMER_SLOTS]){ 12 }), PLACE_OTHER);
}

static void a_socket_that_is_being_put_counts_as_living(void **state)
{
	struct place p = { 0 };
	unsigned first, second, third;

	(void)state;
	assert_int_equal(claim(&p, 1, 11, no_slots, &first), PLACE_FIRST);
	assert_int_equal(claim(&p, 2, 12, no_slots, &second), PLACE_OTHER);
	assert_int_equal(claim(&p, 1, 12, no_slots, &second), PLACE_FURTHER);
	assert_int_equal(claim(&p, 1, 13, no_slots, &third), PLACE_FULL);
	place_settle(&p, first, 0); /* it did not work */
	assert_int_equal(claim(&p, 1, 13, no_slots, &third), PLACE_FURTHER);
	assert_int_equal(third, first);
	place_settle(&p, second, 0);
	place_settle(&p, third, 0);
	assert_int_equal(claim(&p, 2, 14, no_slots, &first), PLACE_FIRST);
}

/* Another thread of the parent was in the middle of it: in the child it never ends. */
static void a_claim_does_not_outlive_a_fork(void **state)
{
	struct place p = { 0 };
	unsigned index;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(claim(&p, 1, 11, no_slots, &index), PLACE_FIRST);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(alive(&p, no_slots) || keep(&p, 2, 12, no_slots) != PLACE_FIRST);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void rules_have_64_places(void **state)
{
	struct place *places[PLACE_MAX];

	(void)state;
	for (uint64_t i = 0; i < PLACE_MAX; i++) {
		places[i] = place_of_rule(i + 1);
		assert_non_null(places[i]);
		for (uint64_t j = 0; j < i; j++)
			assert_ptr_not_equal(places[i], places[j]);
	}
	assert_ptr_equal(place_of_rule(1), places[0]);
	assert_ptr_equal(place_of_rule(PLACE_MAX), places[PLACE_MAX - 1]);
	assert_null(place_of_rule(PLACE_MAX + 1));
}

static void the_label_has_a_place_for_each_destination(void **state)
{
	struct place *p[] = { place_of_label(AF_INET, IPPROTO_TCP),
			      place_of_label(AF_INET, IPPROTO_UDP),
			      place_of_label(AF_INET6, IPPROTO_TCP),
			      place_of_label(AF_INET6, IPPROTO_UDP) };

	(void)state;
	for (size_t i = 0; i < 4; i++)
		for (size_t j = 0; j < i; j++)
			assert_ptr_not_equal(p[i], p[j]);
	assert_ptr_equal(place_of_label(AF_INET, IPPROTO_TCP), p[0]);
}

static void a_stale_view_is_told(void **state)
{
	struct place p = { 0 };
	struct place_view view = place_look(&p);
	unsigned index;

	(void)state;
	assert_int_equal(keep(&p, 1, 11, no_slots), PLACE_FIRST);
	assert_int_equal(place_claim(&p, &view, no_slots, 1, 12, &index), PLACE_CHANGED);
	view = place_look(&p);
	assert_int_equal(keep(&p, 1, 12, no_slots), PLACE_FIRST);
	assert_int_equal(place_claim(&p, &view, no_slots, 1, 13, &index), PLACE_CHANGED);

	/* One that was taken while another thread claimed the free place. */
	view = (struct place_view){ .address = 0, .sockets = { 12 } };
	assert_int_equal(place_claim(&p, &view, (uint64_t[ISOMER_SLOTS]){ 12 }, 2, 13, &index),
			 PLACE_CHANGED);
}

static struct place contended;
static atomic_int claims[PLACE_CHANGED + 1];

static void *claim_in_thread(void *cookie)
{
	enum place_claim claimed;
	unsigned index;

	do
		claimed = claim(&contended, 1, (uint64_t)(uintptr_t)cookie, no_slots, &index);
	while (claimed == PLACE_CHANGED);
	claims[claimed]++;
	return NULL;
}

static void of_many_threads_two_get_a_place(void **state)
{
	pthread_t threads[8];

	(void)state;
	for (int round = 0; round < 200; round++) {
		memset(&contended, 0, sizeof(contended));
		memset(claims, 0, sizeof(claims));
		for (uintptr_t i = 0; i < 8; i++)
			assert_int_equal(
				pthread_create(&threads[i], NULL, claim_in_thread, (void *)(i + 1)),
				0);
		for (size_t i = 0; i < 8; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(claims[PLACE_FIRST], 1);
		assert_int_equal(claims[PLACE_FURTHER], PLACE_SOCKETS - 1);
		assert_int_equal(claims[PLACE_FULL], 8 - PLACE_SOCKETS);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_differ_in_everything_that_counts),
		cmocka_unit_test(two_sockets_of_an_address_are_kept),
		cmocka_unit_test(a_closed_socket_makes_room),
		cmocka_unit_test(a_place_belongs_to_one_address_while_a_socket_lives),
		cmocka_unit_test(a_socket_that_is_being_put_counts_as_living),
		cmocka_unit_test(a_claim_does_not_outlive_a_fork),
		cmocka_unit_test(rules_have_64_places),
		cmocka_unit_test(the_label_has_a_place_for_each_destination),
		cmocka_unit_test(a_stale_view_is_told),
		cmocka_unit_test(of_many_threads_two_get_a_place),
	};

	return cmocka_run_group_tests_name("places", tests, NULL, NULL);
}
