/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/traffic/load.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/figures.h"

#define BATCH 32
#define SIZE  64

static struct sockaddr_in *next_target(struct place *p)
{
	return &p->targets[p->next++ % WAY_TARGETS];
}

static _Noreturn void lost(const struct place *p)
{
	char text[INET_ADDRSTRLEN] = "";

	inet_ntop(AF_INET, &p->targets[(p->next - 1) % WAY_TARGETS].sin_addr, text, sizeof(text));
	fprintf(stderr, "%s: what was sent to %s has not arrived: ", p->way->name, text);
	perror(NULL);
	exit(EXIT_FAILURE);
}

static void send_batch(struct place *p, struct mmsghdr messages[BATCH])
{
	for (unsigned i = 0; i < BATCH; i++) {
		messages[i].msg_hdr.msg_name = next_target(p);
		messages[i].msg_hdr.msg_namelen = sizeof(*p->targets);
	}
	for (int sent = 0; sent < BATCH;) {
		int r = sendmmsg(p->client, messages + sent, (unsigned)(BATCH - sent), 0);

		if (r < 0)
			figures_give_up("sendmmsg");
		sent += r;
	}
}

/* As a rule all is there when the sender's call returns; but the kernel may leave it to a thread.
 */
static void receive_batch(struct place *p, struct mmsghdr messages[BATCH])
{
	for (unsigned i = 0; i < BATCH; i++)
		messages[i].msg_hdr.msg_name = NULL;
	for (int received = 0; received < BATCH;) {
		int r = recvmmsg(p->server, messages, (unsigned)(BATCH - received), MSG_WAITFORONE,
				 NULL);

		if (r <= 0)
			lost(p);
		received += r;
	}
}

double load_datagrams(struct place *p, size_t n)
{
	static char buffers[BATCH][SIZE];
	struct mmsghdr messages[BATCH];
	struct iovec iovs[BATCH];
	static struct series batches;

	for (unsigned i = 0; i < BATCH; i++) {
		iovs[i] = (struct iovec){ buffers[i], SIZE };
		messages[i] =
			(struct mmsghdr){ .msg_hdr = { .msg_iov = &iovs[i], .msg_iovlen = 1 } };
	}
	batches.n = 0;
	for (size_t done = 0; done < n; done += BATCH) {
		uint64_t begin = figures_now();

		send_batch(p, messages);
		receive_batch(p, messages);
		series_add(&batches, (double)(figures_now() - begin) / BATCH);
	}
	return series_middle(&batches);
}

/* The client ends it with a reset, which leaves no TIME_WAIT. */
static void connect_once(struct place *p)
{
	const struct linger reset = { .l_onoff = 1 };
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), server;

	if (client < 0 || setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0)
		figures_give_up("client");
	if (connect(client, (struct sockaddr *)next_target(p), sizeof(*p->targets)) < 0)
		lost(p);
	server = accept4(p->server, NULL, NULL, SOCK_CLOEXEC);
	if (server < 0)
		lost(p);
	close(client);
	close(server);
}

double load_connections(struct place *p, size_t n)
{
	static struct series connections;

	connections.n = 0;
	for (size_t i = 0; i < n; i++) {
		uint64_t begin = figures_now();

		connect_once(p);
		series_add(&connections, (double)(figures_now() - begin));
	}
	return series_middle(&connections);
}
