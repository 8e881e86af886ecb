/* SPDX-License-Identifier: BSD-3-Clause */
/* small_stack PORT: a thread with the smallest stack there is listens on :: while it has some
 * variables of its own. Prints "ready" and serves.
 */
#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>

#include "guest.h"

#define OWN_VARIABLES 1024

static int listener;

static void *listen_deep_down(void *arg)
{
	volatile char own[OWN_VARIABLES];

	(void)arg;
	own[0] = own[OWN_VARIABLES - 1] = 1;
	if (listen(listener, 16) < 0)
		guest_die("listen");
	return own[0] ? NULL : &listener;
}

/* A page that nobody may touch lies below it, as below every stack. */
static void *smallest_stack(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, page + PTHREAD_STACK_MIN, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE) < 0)
		guest_die("mmap");
	return memory + page;
}

int main(int argc, char **argv)
{
	pthread_attr_t attr;
	pthread_t thread;

	if (argc != 2)
		return 2;
	listener = guest_tcp("::", (uint16_t)strtoul(argv[1], NULL, 10), false);
	pthread_attr_init(&attr);
	if (pthread_attr_setstack(&attr, smallest_stack(), PTHREAD_STACK_MIN) ||
	    pthread_create(&thread, &attr, listen_deep_down, NULL) || pthread_join(thread, NULL))
		return 1;
	printf("ready\n");
	fflush(stdout);
	for (;;)
		guest_serve_one(listener, "small");
}
