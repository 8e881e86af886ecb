/* SPDX-License-Identifier: BSD-3-Clause */
/* named NAME PORT: answers TCP clients and datagrams of 127.0.0.1:PORT with its name. Prints
 * "ready" when both sockets are there.
 */
#include <poll.h>

#include "guest.h"

int main(int argc, char **argv)
{
	struct pollfd sockets[2];
	struct sockaddr_storage addr;
	socklen_t len;
	char byte;

	if (argc != 3)
		return 1;
	len = guest_address("127.0.0.1", (uint16_t)strtoul(argv[2], NULL, 10), &addr);
	sockets[0] = (struct pollfd){
		.fd = guest_tcp("127.0.0.1", (uint16_t)strtoul(argv[2], NULL, 10), true),
		.events = POLLIN,
	};
	sockets[1] = (struct pollfd){ .fd = socket(AF_INET, SOCK_DGRAM, 0), .events = POLLIN };
	if (bind(sockets[1].fd, (struct sockaddr *)&addr, len) < 0 ||
	    listen(sockets[0].fd, 128) < 0)
		guest_die("sockets");
	puts("ready");
	fflush(stdout);
	while (poll(sockets, 2, -1) > 0) {
		if (sockets[0].revents)
			guest_serve_one(sockets[0].fd, argv[1]);
		len = sizeof(addr);
		if (sockets[1].revents &&
		    recvfrom(sockets[1].fd, &byte, 1, 0, (struct sockaddr *)&addr, &len) >= 0 &&
		    sendto(sockets[1].fd, argv[1], strlen(argv[1]), 0, (struct sockaddr *)&addr,
			   len) < 0)
			perror("sendto");
	}
	return 1;
}
