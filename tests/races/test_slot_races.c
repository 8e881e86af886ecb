/* SPDX-License-Identifier: BSD-3-Clause */
/* The slot protocol in every order: servers that register at once, are killed at any point, and
 * close; and a packet that arrives at any time. Both sides are the product's own code,
 * bpf/state/slots.c and bpf/dispatcher.bpf.c; the kernel is a model of what it promises: one access
 * to a slot is atomic, and a socket that is closed is taken out of its slots one by one.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "loader/ruleset.h"
#include "state/bpfsys.h"
#include "state/slots.h"
#include "support/explorer.h"
#include "support/host_program.h"

#define SOCKETS       3
#define REGISTRATIONS 3

/* Sets of sockets or registrations are masks. */
struct world {
	uint8_t slot[ISOMER_SLOTS];   /* a socket + 1, 0: empty */
	uint8_t open;                 /* sockets that a process holds */
	uint8_t dead;                 /* sockets that are closed, and out of all slots */
	uint8_t begun, done;          /* registrations */
	uint8_t older[REGISTRATIONS]; /* of each: those that were done when it began */
	/* When the packet arrived. */
	uint8_t arrived, dead_then, done_then;
};

/* What is tried. Processes: first the registrations, then the packet, then for each socket the
 * kernel that closes it. */
static struct {
	unsigned int registrations;
	struct {
		unsigned int socket;
		enum isomer_slots_place place;
		/* Registers the first one's socket again, and does not hold it. */
		bool operator;
	} registration[REGISTRATIONS];
} plan;

static struct ruleset index_in_force;
static const struct model_lookup packet = { AF_INET, IPPROTO_TCP, 80, { 127, 0, 0, 1 } };

static bool has(uint8_t set, unsigned int member)
{
	return set >> member & 1;
}

static uint64_t cookie_of(unsigned int socket)
{
	return 1000 + socket;
}

/* ---- the kernel, as a process sees it ---- */

int bpfsys_map_lookup(int fd, const void *key, void *value)
{
	struct {
		uint64_t cookie;
	} a = { 0 };
	const uint32_t *slot = key;

	(void)fd;
	EXPLORER_CALL("reads a slot", a)
	{
		struct world *w = explorer_world();

		a.cookie = w->slot[*slot] ? cookie_of(w->slot[*slot] - 1) : 0;
	}
	if (a.cookie == 0)
		return -ENOENT;
	memcpy(value, &a.cookie, sizeof(a.cookie));
	return 0;
}

/* The value is the descriptor: here the number of the socket. */
int bpfsys_map_update(int fd, const void *key, const void *value, uint64_t flags)
{
	const uint64_t *socket = value;
	const uint32_t *slot = key;
	int64_t r = 0;

	(void)fd;
	EXPLORER_CALL(flags == BPF_NOEXIST ? "claims a standby" : "becomes current", r)
	{
		struct world *w = explorer_world();

		if (flags == BPF_NOEXIST && w->slot[*slot])
			r = -EEXIST;
		else if (has(w->dead, (unsigned int)*socket))
			r = -EOPNOTSUPP;
		else
			w->slot[*slot] = (uint8_t)(*socket + 1);
	}
	return (int)r;
}

/* Not used by what is tried here, but by what else is in slots.c and state.c. */
int bpfsys_map_info(int fd, struct bpf_map_info *ret_info)
{
	(void)fd;
	(void)ret_info;
	return -EBADF;
}

int bpfsys_obj_get(const char *path, uint32_t flags, int *ret_fd)
{
	(void)path;
	(void)flags;
	(void)ret_fd;
	return -ENOENT;
}

/* ---- the kernel, as the program sees it ---- */

static struct ruleset *const slots_of_destination = &index_in_force + 1; /* an address alone */

static struct bpf_sock *socket_in(uint32_t slot)
{
	uint64_t found = 0;
	struct bpf_sock *sk;

	EXPLORER_CALL("the packet looks into a slot", found)
	{
		struct world *w = explorer_world();

		found = w->slot[slot];
	}
	if (!found)
		return NULL;
	sk = explorer_alloc(sizeof(*sk));
	sk->state = BPF_TCP_LISTEN;
	sk->mark = (uint32_t)found - 1; /* which it is */
	return sk;
}

void *host_map_lookup(void *map, const void *key)
{
	uint32_t i;

	memcpy(&i, key, sizeof(i));
	if (map == (void *)ruleset)
		return &index_in_force;
	if (map == (void *)sockets)
		return slots_of_destination;
	if (map == &index_in_force)
		return i == 0 ? index_in_force.blocks : NULL;
	return map == slots_of_destination ? socket_in(i) : NULL;
}

long host_sk_assign(void *ctx, void *sk, __u64 flags)
{
	const struct bpf_sock *s = sk;
	int64_t r = 0;

	(void)flags;
	EXPLORER_CALL("the packet is given to a socket", r)
	{
		struct world *w = explorer_world();

		r = has(w->dead, s->mark) ? -ESOCKTNOSUPPORT : 0;
	}
	if (r == 0)
		((struct bpf_sk_lookup *)ctx)->sk = sk;
	return (long)r;
}

long host_sk_release(void *sk)
{
	(void)sk;
	return 0;
}

/* ---- processes ---- */

static void run_registration(unsigned int number)
{
	unsigned int socket = plan.registration[number].socket;
	uint64_t nothing = 0;
	int r;

	EXPLORER_CALL("begins to register", nothing)
	{
		struct world *w = explorer_world();

		if (!has(w->open, socket) ||
		    (plan.registration[number].operator&& !has(w->done, 0)))
			explorer_block();
		w->begun |= (uint8_t)(1 << number);
		w->older[number] = w->done;
	}
	r = isomer_slots_put(3, (int)socket, cookie_of(socket), plan.registration[number].place,
			     NULL);
	explorer_check(r == 0 || !has(((struct world *)explorer_world())->open, socket));
	if (r == 0)
		((struct world *)explorer_world())->done |= (uint8_t)(1 << number);
	if (plan.registration[number].operator)
		return;
	EXPLORER_CALL("serves", nothing)
	{
		explorer_block();
	}
}

/* Is nobody newer than the registration @n? Who registers at the same time may be. */
static bool is_newest(const struct world *w, unsigned int n)
{
	for (unsigned int m = 0; m < plan.registrations; m++) {
		bool gone = has(w->dead_then, plan.registration[m].socket);
		bool stands_by = plan.registration[m].place == ISOMER_PLACE_STANDBY;

		if (m == n || gone || !has(w->begun, m) || has(w->older[n], m) ||
		    (stands_by && has(w->older[m], n)))
			continue;
		return false;
	}
	return plan.registration[n].place != ISOMER_PLACE_STANDBY;
}

/* @served_by: -1 for nobody. */
static void check_packet(const struct world *w, int verdict, int served_by)
{
	bool somebody = false;

	explorer_check(served_by < 0 || !has(w->dead_then, (unsigned int)served_by));
	explorer_check(verdict == (served_by < 0 ? SK_DROP : SK_PASS));
	for (unsigned int n = 0; n < plan.registrations; n++) {
		unsigned int socket = plan.registration[n].socket;

		/* All the time that the packet takes. */
		if (!has(w->done_then, n) || !has(w->open, socket))
			continue;
		somebody = true;
		explorer_check(!is_newest(w, n) || served_by == (int)socket);
	}
	explorer_check(!somebody || served_by >= 0);
}

static void run_packet(void)
{
	struct bpf_sk_lookup ctx = host_packet(&packet);
	uint64_t nothing = 0;
	int verdict;

	EXPLORER_CALL("a packet arrives", nothing)
	{
		struct world *w = explorer_world();

		w->arrived = 1;
		w->done_then = w->done;
		w->dead_then = w->dead;
	}
	verdict = dispatcher(&ctx);
	check_packet(explorer_world(), verdict, ctx.sk ? (int)ctx.sk->mark : -1);
}

/* In the order in which the socket came into its slots: the standby first. */
static void run_close(unsigned int socket)
{
	uint64_t found = 1;

	while (found) {
		EXPLORER_CALL("the kernel takes a closed socket out of a slot", found)
		{
			struct world *w = explorer_world();
			unsigned int slot = 1;

			if (has(w->open, socket))
				explorer_block();
			while (slot < ISOMER_SLOTS && w->slot[slot] != socket + 1)
				slot++;
			slot %= ISOMER_SLOTS;
			found = w->slot[slot] == socket + 1;
			if (found)
				w->slot[slot] = 0;
			else
				w->dead |= (uint8_t)(1 << socket);
		}
	}
}

static void run(unsigned int process)
{
	if (process < plan.registrations)
		run_registration(process);
	else if (process == plan.registrations)
		run_packet();
	else
		run_close(process - plan.registrations - 1);
}

static bool kill_server(unsigned int process)
{
	struct world *w = explorer_world();

	if (process >= plan.registrations)
		return false;
	if (!plan.registration[process].operator)
		w->open &= (uint8_t) ~(1 << plan.registration[process].socket);
	return true;
}

/* Who is registered and lives has a slot. */
static void check_end(void)
{
	const struct world *w = explorer_world();

	for (unsigned int n = 0; n < plan.registrations; n++) {
		unsigned int socket = plan.registration[n].socket, slot = 0;

		if (!has(w->done, n) || !has(w->open, socket))
			continue;
		while (slot < ISOMER_SLOTS && w->slot[slot] != socket + 1)
			slot++;
		explorer_check(slot < ISOMER_SLOTS);
	}
}

static void explore_plan(unsigned int n_sockets)
{
	struct world world = { .open = (uint8_t)((1 << n_sockets) - 1) };
	struct explorer_count count;

	count = explore(&(struct exploration){
		.world = &world,
		.world_size = sizeof(world),
		.processes = plan.registrations + 1 + n_sockets,
		.run = run,
		.kill = kill_server,
		.end = check_end,
	});
	printf("%llu states, %llu ends\n", (unsigned long long)count.states,
	       (unsigned long long)count.ends);
	assert_true(count.ends > 0);
}

/* ---- the tests ---- */

static void of_two_servers_the_newest_that_lives_is_reached(void **state)
{
	(void)state;
	plan.registrations = 2;
	plan.registration[1].socket = 1;
	explore_plan(2);
}

static void of_three_servers_the_newest_that_lives_is_reached(void **state)
{
	(void)state;
	plan.registrations = 3;
	plan.registration[1].socket = 1;
	plan.registration[2].socket = 2;
	explore_plan(3);
}

static void who_is_put_in_front_by_the_operator_is_reached(void **state)
{
	(void)state;
	plan.registrations = 3;
	plan.registration[1].socket = 1;
	plan.registration[2].place = ISOMER_PLACE_TAKE_OVER;
	plan.registration[2].operator= true;
	explore_plan(2);
}

static void who_stands_by_takes_nothing_from_a_server_that_lives(void **state)
{
	(void)state;
	plan.registrations = 2;
	plan.registration[1].socket = 1;
	plan.registration[1].place = ISOMER_PLACE_STANDBY;
	explore_plan(2);
}

static int setup(void **state)
{
	struct isomer_binding b = { .domain = AF_INET,
				    .protocol = IPPROTO_TCP,
				    .prefixlen = 32,
				    .port_first = 80,
				    .port_last = 80,
				    .addr = { 127, 0, 0, 1 } };

	(void)state;
	memset(&plan, 0, sizeof(plan));
	return ruleset_compile(&b, 1, &index_in_force);
}

static int teardown(void **state)
{
	(void)state;
	ruleset_done(&index_in_force);
	return 0;
}

#define race_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		race_test(of_two_servers_the_newest_that_lives_is_reached),
		race_test(who_is_put_in_front_by_the_operator_is_reached),
		race_test(who_stands_by_takes_nothing_from_a_server_that_lives),
		race_test(of_three_servers_the_newest_that_lives_is_reached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
