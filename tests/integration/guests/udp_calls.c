/* SPDX-License-Identifier: BSD-3-Clause */
#include "udp_calls.h"

#include <linux/sock_diag.h>
#include <poll.h>
#include <sys/syscall.h>

struct sockaddr_storage server_addr;
socklen_t server_len;
int server, client;
bool ipv6;

void udp_set(int level, int option, int value)
{
	int ret = setsockopt(server, level, option, &value, sizeof(value));

	printf("  set %d %d to %d: %d %s\n", level, option, value, ret,
	       ret ? strerrorname_np(errno) : "-");
}

void udp_get(int level, int option, socklen_t len)
{
	unsigned char value[8] = { 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa };
	int ret = getsockopt(server, level, option, value, &len);

	printf("  get %d %d: %d len %u value %02x%02x%02x%02x%02x\n", level, option, ret, len,
	       value[0], value[1], value[2], value[3], value[4]);
}

/* What is in the server's queue takes. Not by libc's function, which the library may be in front
 * of.
 */
static uint32_t queued(void)
{
	uint32_t info[SK_MEMINFO_VARS];
	socklen_t len = sizeof(info);

	if (syscall(SYS_getsockopt, server, SOL_SOCKET, SO_MEMINFO, info, &len) < 0)
		guest_die("SO_MEMINFO");
	return info[SK_MEMINFO_RMEM_ALLOC];
}

/* A busy kernel delivers later, and others that wait there are no proof that it has. */
void client_sends(const char *text, size_t n)
{
	struct pollfd p = { .fd = server, .events = POLLIN };
	uint32_t before = queued();
	int ms = 0;

	if (sendto(client, text, n, 0, (struct sockaddr *)&server_addr, server_len) != (ssize_t)n)
		guest_die("client");
	for (; queued() <= before && ms < 5000; ms++)
		poll(NULL, 0, 1);
	if (poll(&p, 1, 5000) != 1 || ms == 5000)
		guest_die("poll");
}

void print_bytes(const char *what, const void *data, size_t n)
{
	const unsigned char *byte = data;

	printf("  %s:", what);
	for (size_t i = 0; i < n; i++)
		printf(" %02x", byte[i]);
	puts("");
}

/* Without the client's port, which differs. */
static void print_name(const void *name, size_t size, size_t len)
{
	unsigned char bytes[64];

	memcpy(bytes, name, size);
	if (len >= 4 && size >= 4)
		bytes[2] = bytes[3] = 0;
	printf("  namelen %zu\n", len);
	print_bytes("name", bytes, size);
}

/* Of times and interfaces only that they are there. */
static void print_control(const struct msghdr *m)
{
	printf("  controllen %zu flags %x\n", (size_t)m->msg_controllen, m->msg_flags);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR((struct msghdr *)m, c)) {
		printf("  level %d type %d len %zu\n", c->cmsg_level, c->cmsg_type,
		       (size_t)c->cmsg_len);
		if (c->cmsg_level != SOL_SOCKET && c->cmsg_len >= CMSG_LEN(0) &&
		    !(c->cmsg_type == IP_RECVERR || c->cmsg_type == IPV6_RECVERR))
			print_bytes("data", CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	}
}

void print_result(const char *what, ssize_t n, const void *data, size_t size)
{
	printf("%s: %zd %s\n", what, n,
	       n < 0                  ? strerrorname_np(errno)
	       : errno == GUEST_ERRNO ? "-"
				      : "errno changed");
	print_bytes("data", data, size);
}

/* ---- one call each ---- */

void by_recvmsg(const char *what, size_t size, size_t namelen, size_t controllen, int flags)
{
	char data[32] = { 0 }, name[64], control[4096];
	struct iovec iov = { data, size };
	struct msghdr m = {
		.msg_name = namelen == SIZE_MAX ? NULL : name,
		.msg_namelen = namelen == SIZE_MAX ? 7 : (socklen_t)namelen,
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = controllen == SIZE_MAX ? NULL : control,
		.msg_controllen = controllen == SIZE_MAX ? 100 : controllen,
		.msg_flags = 0x55,
	};
	ssize_t n;

	memset(name, 0xaa, sizeof(name));
	memset(control, 0, sizeof(control));
	errno = GUEST_ERRNO;
	n = recvmsg(server, &m, flags);
	print_result(what, n, data, sizeof(data));
	print_name(name, sizeof(name), m.msg_namelen);
	if (controllen != SIZE_MAX)
		print_control(&m);
	else
		printf("  controllen %zu flags %x\n", (size_t)m.msg_controllen, m.msg_flags);
}

void by_recvfrom(const char *what, size_t size, size_t namelen, int flags)
{
	char data[32] = { 0 }, name[64];
	socklen_t len = namelen == SIZE_MAX ? 7 : (socklen_t)namelen;
	ssize_t n;

	memset(name, 0xaa, sizeof(name));
	errno = GUEST_ERRNO;
	n = recvfrom(server, data, size, flags,
		     namelen == SIZE_MAX ? NULL : (struct sockaddr *)name, &len);
	print_result(what, n, data, sizeof(data));
	print_name(name, sizeof(name), len);
}

void by_recv(const char *what, size_t size, int flags)
{
	char data[32] = { 0 };
	ssize_t n;

	errno = GUEST_ERRNO;
	n = recv(server, data, size, flags);
	print_result(what, n, data, sizeof(data));
}

void by_read(const char *what, size_t size)
{
	char data[32] = { 0 };
	ssize_t n;

	errno = GUEST_ERRNO;
	n = read(server, data, size);
	print_result(what, n, data, sizeof(data));
}

void by_readv(const char *what, const struct iovec *iov, int count, const char *data, size_t size)
{
	ssize_t n;

	errno = GUEST_ERRNO;
	n = readv(server, iov, count);
	print_result(what, n, data, size);
}

void by_recvmmsg(const char *what, unsigned n, int flags, struct timespec *timeout,
		 size_t controllen, size_t size)
{
	static char data[40][32], control[40][256], name[40][64];
	struct iovec iov[40];
	struct mmsghdr v[40];
	int ret;

	memset(data, 0, sizeof(data));
	memset(name, 0xaa, sizeof(name));
	for (unsigned i = 0; i < 40; i++) {
		iov[i] = (struct iovec){ data[i], size };
		v[i] = (struct mmsghdr){ .msg_len = 77,
					 .msg_hdr = { .msg_name = i % 2 ? NULL : name[i],
						      .msg_namelen = i % 3 ? 28 : 3,
						      .msg_iov = &iov[i],
						      .msg_iovlen = 1,
						      .msg_control = controllen ? control[i] : NULL,
						      .msg_controllen = controllen } };
	}
	errno = GUEST_ERRNO;
	ret = recvmmsg(server, v, n, flags, timeout);
	printf("%s: %d %s\n", what, ret,
	       ret < 0                ? strerrorname_np(errno)
	       : errno == GUEST_ERRNO ? "-"
				      : "errno changed");
	for (int i = 0; i < ret; i++) {
		printf("  %d: len %u\n", i, v[i].msg_len);
		print_bytes("data", data[i], 8);
		print_name(name[i], 32, v[i].msg_hdr.msg_namelen);
		print_control(&v[i].msg_hdr);
	}
}

void drain(void)
{
	char data[8];
	unsigned n = 0;

	while (recv(server, data, sizeof(data), MSG_DONTWAIT) >= 0)
		n++;
	printf("left: %u\n", n);
}
