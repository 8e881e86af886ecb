/* SPDX-License-Identifier: BSD-3-Clause */
/* Binds UDP sockets to addresses that are nowhere: at NULL, behind it, and half in a page that is
 * there. Prints what errno each call leaves, then "ready", and waits.
 */
#include <sys/mman.h>

#include "guest.h"

static void try(const void *address)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		guest_die("socket");
	errno = GUEST_ERRNO;
	if (bind(fd, address, sizeof(struct sockaddr_in)) == 0)
		guest_die("bound");
	printf("errno=%s\n", strerrorname_np(errno));
	close(fd);
}

int main(void)
{
	const struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(8053) };
	size_t page = (size_t)sysconf(_SC_PAGESIZE), half = sizeof(addr) / 2;
	char *pages =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED || munmap(pages + page, page) < 0)
		guest_die("mmap");
	memcpy(pages + page - half, &addr, half);
	try(NULL);
	try((const void *)16);
	try(pages + page - half);
	puts("ready");
	fflush(stdout);
	pause();
	return 0;
}
