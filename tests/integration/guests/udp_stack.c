/* SPDX-License-Identifier: BSD-3-Clause */
/* udp_stack IP PORT: a thread with the smallest stack there is sends datagrams back to where they
 * came from, up to 32 with one call, while it has some variables of its own. After the first it
 * prints "left N": how much of its stack nobody has touched.
 */
#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>

#include "guest.h"

#define OWN_VARIABLES 1024
#define BATCH         32
#define UNTOUCHED     0x5a

static char *stack;
static int server;

static void measure(void)
{
	size_t n = 0;

	while (stack[n] == UNTOUCHED)
		n++;
	printf("left %zu\n", n);
}

static void *serve(void *arg)
{
	static char text[BATCH][256];
	static struct sockaddr_storage peer[BATCH];
	static struct iovec iov[BATCH];
	static struct mmsghdr v[BATCH];
	volatile char own[OWN_VARIABLES];

	own[0] = own[OWN_VARIABLES - 1] = 1;
	for (int n; own[0];) {
		for (size_t i = 0; i < BATCH; i++) {
			iov[i] = (struct iovec){ text[i], sizeof(text[i]) };
			v[i].msg_hdr = (struct msghdr){ .msg_name = &peer[i],
							.msg_namelen = sizeof(peer[i]),
							.msg_iov = &iov[i],
							.msg_iovlen = 1 };
		}
		n = recvmmsg(server, v, BATCH, MSG_WAITFORONE, NULL);
		for (int i = 0; i < n; i++)
			iov[i].iov_len = v[i].msg_len;
		if (n < 0 || sendmmsg(server, v, (unsigned)n, 0) != n)
			guest_die("recvmmsg, sendmmsg");
		if (own[OWN_VARIABLES - 1])
			measure();
		own[OWN_VARIABLES - 1] = 0;
	}
	return arg;
}

/* A page that nobody may touch lies below it, as below every stack. */
static void make_stack(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, page + PTHREAD_STACK_MIN, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE) < 0)
		guest_die("mmap");
	stack = memory + page;
	memset(stack, UNTOUCHED, PTHREAD_STACK_MIN);
}

int main(int argc, char **argv)
{
	pthread_attr_t attr;
	pthread_t thread;

	if (argc != 3)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	server = guest_udp(argv[1], (uint16_t)strtoul(argv[2], NULL, 10));
	make_stack();
	pthread_attr_init(&attr);
	puts("ready");
	if (pthread_attr_setstack(&attr, stack, PTHREAD_STACK_MIN) ||
	    pthread_create(&thread, &attr, serve, NULL) || pthread_join(thread, NULL))
		return 1;
	return 0;
}
