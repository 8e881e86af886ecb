/* SPDX-License-Identifier: BSD-3-Clause */
/* udp_cancelled IP PORT ASKED ASKED_PORT: cancels threads that send datagrams back to where they
 * came from, while they wait and while they answer one that it sends to ASKED, ASKED_PORT. Then it
 * throws away what nobody has received, prints "N cancelled, M descriptors left", and "ready", and
 * serves.
 */
#include <pthread.h>

#include "guest.h"

#define ROUNDS 200

static int server;

static void *serve(void *arg)
{
	for (;;)
		guest_echo(server);
	return arg;
}

static bool cancelled(pthread_t thread)
{
	void *result;

	return pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0 &&
	       result == PTHREAD_CANCELED;
}

int main(int argc, char **argv)
{
	struct sockaddr_storage asked;
	int client, before, n = 0;
	socklen_t len;
	char byte;

	if (argc != 5)
		return 1;
	server = guest_udp(argv[1], (uint16_t)strtoul(argv[2], NULL, 10));
	client = guest_udp("127.0.0.1", 0);
	len = guest_address(argv[3], (uint16_t)strtoul(argv[4], NULL, 10), &asked);
	if (connect(client, (struct sockaddr *)&asked, len) < 0)
		guest_die("connect");
	before = guest_count_descriptors();
	for (int i = 0; i < ROUNDS; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, serve, NULL))
			guest_die("pthread_create");
		if (send(client, "?", 1, 0) != 1 || (i % 2 && recv(client, &byte, 1, 0) != 1))
			guest_die("client");
		n += cancelled(thread);
	}
	/* What is unanswered is in the queue. */
	while (recv(server, &byte, 1, MSG_DONTWAIT) == 1)
		;
	printf("%d cancelled, %d descriptors left\nready\n", n, guest_count_descriptors() - before);
	fflush(stdout);
	serve(NULL);
}
