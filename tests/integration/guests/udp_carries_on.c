/* SPDX-License-Identifier: BSD-3-Clause */
/* udp_carries_on ASKED PORT: a UDP server on 127.0.0.1:1001, and a client of its own, which is
 * connected to ASKED, PORT. Between two calls of getppid() the server receives a datagram and
 * answers it. Exit status 0 when what the calls said is what happened, when they have left nothing
 * else changed, and when the next datagram is answered.
 */
#include <poll.h>
#include <sys/syscall.h>

#include "guest.h"

static int server, client;

static bool gets_answer(int timeout)
{
	struct pollfd p = { .fd = client, .events = POLLIN };
	char byte;

	return poll(&p, 1, timeout) == 1 && recv(client, &byte, 1, 0) == 1;
}

int main(int argc, char **argv)
{
	struct sockaddr_storage asked, peer;
	ssize_t received, sent = -1;
	socklen_t len;
	char byte = 0;
	int before;

	if (argc != 3)
		return 2;
	server = guest_udp("127.0.0.1", 1001);
	client = guest_udp("127.0.0.1", 0);
	len = guest_address(argv[1], (uint16_t)strtoul(argv[2], NULL, 10), &asked);
	guest_check(connect(client, (struct sockaddr *)&asked, len) == 0, "connect");
	before = guest_count_descriptors();
	guest_check(send(client, "x", 1, 0) == 1, "send");

	errno = GUEST_ERRNO;
	len = sizeof(peer);
	syscall(SYS_getppid);
	received = recvfrom(server, &byte, 1, 0, (struct sockaddr *)&peer, &len);
	if (received == 1)
		sent = sendto(server, &byte, 1, 0, (struct sockaddr *)&peer, len);
	syscall(SYS_getppid);

	guest_check(received != 1 || byte == 'x', "another datagram");
	guest_check(received < 0 || sent < 0 || errno == GUEST_ERRNO, "errno is another");
	guest_check(guest_count_descriptors() == before, "a descriptor was left open");
	guest_check(gets_answer(sent == 1 ? 5000 : 0) == (sent == 1), "not as the calls said");

	while (recv(server, &byte, 1, MSG_DONTWAIT) >= 0)
		;
	guest_check(send(client, "x", 1, 0) == 1, "send");
	guest_echo(server);
	guest_check(gets_answer(5000), "the next is not answered");
	return 0;
}
