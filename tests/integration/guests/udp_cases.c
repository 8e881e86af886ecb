/* SPDX-License-Identifier: BSD-3-Clause */
/* udp_cases IP PORT: receives what it has sent itself to IP:PORT, in all the ways there are, and
 * prints everything that the kernel says. Without the library and under it the output has to be the
 * same, byte for byte.
 *
 * Nothing that varies from run to run is printed: no times, no ports that the kernel chose.
 */
#include <fcntl.h>
#include <linux/errqueue.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "udp_calls.h"

#ifndef IPV6_RECVORIGDSTADDR
#define IPV6_RECVORIGDSTADDR 74
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

static const size_t nothing = SIZE_MAX;

static void names_and_sizes(void)
{
	static const size_t lengths[] = { 0, 1, 2, 8, 15, 16, 20, 27, 28, 40, 64 };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		client_sends("hello", 5);
		by_recvfrom("recvfrom, name", 32, lengths[i], 0);
		client_sends("hello", 5);
		by_recvmsg("recvmsg, name", 32, lengths[i], 0, 0);
	}
	client_sends("hello", 5);
	by_recvfrom("recvfrom, no name", 32, nothing, 0);
	client_sends("hello", 5);
	by_recvfrom("recvfrom, negative length", 32, (size_t)(socklen_t)-1, 0);
	client_sends("hello", 5);
	by_recvmsg("recvmsg, no name", 32, nothing, nothing, 0);
	client_sends("hello", 5);
	by_recvmsg("recvmsg, negative length", 32, (size_t)(socklen_t)-1, 0, 0);
	drain();
}

static void cut(void)
{
	client_sends("hello", 5);
	by_recv("recv, cut", 3, 0);
	client_sends("hello", 5);
	by_recv("recv, cut, MSG_TRUNC", 3, MSG_TRUNC);
	client_sends("hello", 5);
	by_recvmsg("recvmsg, cut", 3, 64, 0, 0);
	client_sends("hello", 5);
	by_recvmsg("recvmsg, cut, MSG_TRUNC", 3, 64, 0, MSG_TRUNC);
	client_sends("hello", 5);
	by_recvfrom("peek", 32, 64, MSG_PEEK);
	by_recvmsg("peek", 2, 64, 128, MSG_PEEK | MSG_TRUNC);
	by_read("read, cut", 3);
	drain();
}

static void no_room(void)
{
	struct iovec none[2] = { { NULL, 0 }, { NULL, 0 } };

	for (int n = 0; n < 3; n++) {
		static const char *const texts[] = { "", "x", "hello" };

		client_sends(texts[n], strlen(texts[n]));
		by_read("read, no room", 0);
		by_readv("readv, no room", none, 2, "", 0);
		by_readv("readv, no buffers", none, 0, "", 0);
		drain();
	}
}

/* In a SOCKMAP the kernel answers differently, which is not to be seen. */
static void no_room_for_data(void)
{
	static const char *const texts[] = { "", "x", "hello" };
	static const int flags[] = { 0, MSG_TRUNC, MSG_PEEK, MSG_PEEK | MSG_TRUNC, MSG_DONTWAIT };

	for (int n = 0; n < 3; n++)
		for (int i = 0; i < 5; i++) {
			client_sends(texts[n], strlen(texts[n]));
			by_recv("recv, no room", 0, flags[i]);
			client_sends(texts[n], strlen(texts[n]));
			by_recvfrom("recvfrom, no room", 0, 64, flags[i]);
			client_sends(texts[n], strlen(texts[n]));
			by_recvmsg("recvmsg, no room", 0, 64, 64, flags[i]);
			client_sends(texts[n], strlen(texts[n]));
			by_recvmmsg("recvmmsg, no room", 1, flags[i], NULL, 0, 0);
			drain();
		}
	by_recv("recv, no room, nothing there", 0, MSG_DONTWAIT);
}

static void vectors(void)
{
	char data[16] = { 0 };
	struct iovec iov[3] = { { data, 2 }, { data + 8, 0 }, { data + 10, 2 } };
	struct iovec bad[1] = { { (void *)8, 4 } };
	static struct iovec many[1025];

	for (size_t i = 0; i < 1025; i++)
		many[i] = (struct iovec){ data, 1 };
	client_sends("hello", 5);
	by_readv("readv", iov, 3, data, sizeof(data));
	client_sends("hello", 5);
	by_readv("readv, bad", bad, 1, data, sizeof(data));
	client_sends("hello", 5);
	by_readv("readv, negative", iov, -1, data, sizeof(data));
	by_readv("readv, too many", many, 1025, data, sizeof(data));
	by_readv("readv, many", many, 1024, data, sizeof(data));
	drain();
}

static void nothing_there(void)
{
	struct timeval short_time = { .tv_usec = 1000 };

	by_recv("nothing, MSG_DONTWAIT", 4, MSG_DONTWAIT);
	by_recvmsg("nothing, MSG_DONTWAIT", 4, 64, 64, MSG_DONTWAIT);
	by_recvmsg("nothing, MSG_ERRQUEUE", 4, 64, 64, MSG_ERRQUEUE);
	by_recvmsg("nothing, MSG_OOB", 4, 64, 64, MSG_OOB | MSG_DONTWAIT);
	by_recvmmsg("nothing, MSG_DONTWAIT", 4, MSG_DONTWAIT, NULL, 0, 8);
	if (setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof(short_time)) < 0)
		guest_die("SO_RCVTIMEO");
	by_recv("nothing, SO_RCVTIMEO", 4, 0);
	short_time.tv_usec = 0;
	if (setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof(short_time)) < 0)
		guest_die("SO_RCVTIMEO");
	if (fcntl(server, F_SETFL, O_NONBLOCK) < 0)
		guest_die("O_NONBLOCK");
	by_recv("nothing, O_NONBLOCK", 4, 0);
	by_read("nothing, O_NONBLOCK", 4);
	by_recvmmsg("nothing, O_NONBLOCK", 4, 0, NULL, 0, 8);
	if (fcntl(server, F_SETFL, 0) < 0)
		guest_die("O_NONBLOCK");
}

static void many(void)
{
	struct timespec timeout = { .tv_sec = 100 }, wrong = { .tv_nsec = -1 };

	for (unsigned sent = 0; sent < 36; sent += 5) {
		for (unsigned i = 0; i < sent; i++)
			client_sends("hello", 1 + i % 5);
		by_recvmmsg("recvmmsg, what is there", 40, MSG_DONTWAIT, NULL, 0, 8);
		for (unsigned i = 0; i < sent; i++)
			client_sends("hello", 1 + i % 5);
		by_recvmmsg("recvmmsg, with control", 33, MSG_DONTWAIT, NULL, 256, 8);
		drain();
	}
	for (unsigned i = 0; i < 32; i++)
		client_sends("hello", 1 + i % 5);
	by_recvmmsg("recvmmsg, as many", 32, 0, NULL, 0, 8);
	for (unsigned i = 0; i < 33; i++)
		client_sends("hello", 1 + i % 5);
	by_recvmmsg("recvmmsg, MSG_WAITFORONE", 40, MSG_WAITFORONE, NULL, 0, 8);
	client_sends("hello", 5);
	by_recvmmsg("recvmmsg, timeout", 1, 0, &timeout, 0, 8);
	by_recvmmsg("recvmmsg, wrong timeout", 1, 0, &wrong, 0, 8);
	by_recvmmsg("recvmmsg, none", 0, 0, NULL, 0, 8);
	drain();
}

static void options(bool on)
{
	udp_set(SOL_IP, IP_RECVORIGDSTADDR, on);
	udp_set(SOL_IPV6, IPV6_RECVORIGDSTADDR, on);
	udp_set(SOL_IP, IP_PKTINFO, on);
	udp_set(SOL_IPV6, IPV6_RECVPKTINFO, on);
	udp_set(SOL_IP, IP_RECVTTL, on);
	udp_set(SOL_IPV6, IPV6_RECVHOPLIMIT, on);
	udp_set(SOL_SOCKET, SO_RXQ_OVFL, on);
}

static void get_options(void)
{
	static const socklen_t lengths[] = { 0, 1, 2, 4, 8 };

	for (size_t i = 0; i < 5; i++) {
		udp_get(SOL_IP, IP_RECVORIGDSTADDR, lengths[i]);
		udp_get(SOL_IPV6, IPV6_RECVORIGDSTADDR, lengths[i]);
		udp_get(SOL_IP, IP_FREEBIND, lengths[i]);
		udp_get(SOL_IPV6, IPV6_FREEBIND, lengths[i]);
		udp_get(SOL_IP, IP_RECVTTL, lengths[i]);
	}
}

static void controls(void)
{
	for (size_t len = 0; len <= 200; len += 4) {
		client_sends("hello", 5);
		by_recvmsg("control", 8, 64, len, 0);
	}
	client_sends("hello", 5);
	by_recvmsg("control, none", 8, 64, nothing, 0);
	client_sends("hello", 5);
	by_recvmsg("control, large", 8, 64, 4096, 0);
}

static void control(void)
{
	unsigned char byte = 1;

	get_options();
	puts("nothing asked for");
	controls();
	udp_set(SOL_SOCKET, SO_TIMESTAMP, 1);
	udp_set(SOL_IP, IP_RECVTTL, 1);
	puts("other things asked for");
	controls();
	udp_set(SOL_SOCKET, SO_TIMESTAMP, 0);
	udp_set(SOL_IP, IP_RECVTTL, 0);
	options(true);
	get_options();
	puts("all asked for");
	controls();
	udp_set(SOL_IP, IP_PKTINFO, 0);
	udp_set(SOL_IPV6, IPV6_RECVPKTINFO, 0);
	puts("most asked for");
	controls();
	options(false);
	get_options();
	puts("nothing asked for any more");
	controls();
	printf("byte: %d\n", setsockopt(server, SOL_IP, IP_RECVORIGDSTADDR, &byte, 1));
	get_options();
	client_sends("hello", 5);
	by_recvmsg("control", 8, 64, 200, 0);
	options(false);
	udp_set(SOL_IP, IP_FREEBIND, 1);
	get_options();
	udp_set(SOL_IP, IP_FREEBIND, 0);
	get_options();
}

/* What was sent to a port that nobody has comes back as an error. */
static void errors(void)
{
	struct sockaddr_storage nobody = server_addr;
	struct pollfd p = { .fd = server };

	((struct sockaddr_in *)&nobody)->sin_port = htons(9);
	udp_set(SOL_IP, IP_RECVERR, 1);
	udp_set(SOL_IPV6, IPV6_RECVERR, 1);
	printf("send: %zd\n",
	       sendto(server, "hello", 5, 0, (struct sockaddr *)&nobody, server_len));
	if (poll(&p, 1, 5000) != 1)
		guest_die("no error");
	by_recv("error", 8, MSG_DONTWAIT);
	by_recvmsg("error queue", 8, 64, 512, MSG_ERRQUEUE);
	by_recv("error is gone", 8, MSG_DONTWAIT);
	udp_set(SOL_IP, IP_RECVERR, 0);
	udp_set(SOL_IPV6, IPV6_RECVERR, 0);
}

/* ---- sending ---- */

static void client_gets(void)
{
	char data[32] = { 0 };
	struct sockaddr_storage from = { 0 };
	socklen_t len = sizeof(from);
	struct pollfd p = { .fd = client, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, 5000) != 1)
		guest_die("no answer");
	n = recvfrom(client, data, sizeof(data), 0, (struct sockaddr *)&from, &len);
	printf("  client got %zd, from the server: %d\n", n,
	       len == server_len && !memcmp(&from, &server_addr, len));
}

/* Not known to the compiler, which warns of it. */
static volatile int negative = -1;

static void sending(void)
{
	struct sockaddr_storage peer, wrong;
	socklen_t len = sizeof(peer);
	char data[32], control[64] = { 0 };
	struct iovec iov = { data, 5 };
	struct msghdr m = { .msg_name = &peer, .msg_iov = &iov, .msg_iovlen = 1 };
	struct mmsghdr v[20];

	client_sends("hello", 5);
	if (recvfrom(server, data, sizeof(data), 0, (struct sockaddr *)&peer, &len) < 0)
		guest_die("recvfrom");
	m.msg_namelen = len;
	errno = GUEST_ERRNO;
	print_result("sendto", sendto(server, data, 5, 0, (struct sockaddr *)&peer, len), "", 0);
	client_gets();
	errno = GUEST_ERRNO;
	print_result("sendmsg", sendmsg(server, &m, 0), "", 0);
	client_gets();
	for (size_t i = 0; i < 20; i++)
		v[i] = (struct mmsghdr){ .msg_hdr = m, .msg_len = 99 };
	errno = GUEST_ERRNO;
	print_result("sendmmsg", sendmmsg(server, v, 20, 0), "", 0);
	for (size_t i = 0; i < 20; i++) {
		printf("  len %u\n", v[i].msg_len);
		client_gets();
	}
	print_result("sendmmsg of none", sendmmsg(server, v, 0, 0), "", 0);
	wrong = peer;
	wrong.ss_family = AF_UNIX;
	print_result("sendto, wrong family",
		     sendto(server, data, 5, 0, (struct sockaddr *)&wrong, len), "", 0);
	print_result("sendto, short", sendto(server, data, 5, 0, (struct sockaddr *)&peer, 8), "",
		     0);
	print_result("sendto, nobody", sendto(server, data, 5, 0, NULL, 0), "", 0);
	print_result("send", send(server, data, 5, 0), "", 0);
	print_result("write", write(server, data, 5), "", 0);
	print_result("writev", writev(server, &iov, 1), "", 0);
	print_result("writev, negative", writev(server, &iov, negative), "", 0);
	print_result("sendto, too long",
		     sendto(server, data, 100000, MSG_DONTWAIT, (struct sockaddr *)&peer, len), "",
		     0);
	print_result("sendto, no memory",
		     sendto(server, (void *)8, 5, 0, (struct sockaddr *)&peer, len), "", 0);
	m.msg_control = control;
	m.msg_controllen = 40; /* zeroes, which are no control message */
	print_result("sendmsg, wrong control", sendmsg(server, &m, 0), "", 0);
	m.msg_controllen = 8; /* less than one */
	print_result("sendmsg, bit of control", sendmsg(server, &m, 0), "", 0);
	client_gets();
	v[3].msg_hdr.msg_namelen = 4;
	print_result("sendmmsg, fourth wrong", sendmmsg(server, v, 20, 0), "", 0);
	for (size_t i = 0; i < 3; i++)
		client_gets();
	((struct sockaddr_in *)&peer)->sin_port = 0;
	print_result("sendto, port 0", sendto(server, data, 5, 0, (struct sockaddr *)&peer, len),
		     "", 0);
}

/* A page that nothing is in, with one before it that is there. */
static char *edge(size_t page)
{
	char *pages =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED || munmap(pages + page, page) < 0)
		guest_die("mmap");
	return pages + page;
}

static void says(const char *what, ssize_t n)
{
	printf("%s: %zd %s\n", what, n, n < 0 ? strerrorname_np(errno) : "-");
}

static void receiving_nowhere(char *nowhere, void *null)
{
	char data[32], control[64];
	struct iovec half[2] = { { data, 2 }, { nowhere - 2, 4 } };
	struct iovec *across = (struct iovec *)(nowhere - sizeof(*across));
	struct iovec *list = (struct iovec *)nowhere;
	struct sockaddr_storage from;
	struct msghdr m = { .msg_iov = half, .msg_iovlen = 1 };
	struct mmsghdr v[2] = { { .msg_hdr = m }, { .msg_hdr = m } };

	*across = half[0];
	client_sends("hello", 5);
	says("recv, buffer", recv(server, nowhere, 4, 0));
	says("read, buffer", read(server, nowhere, 4));
	says("recvfrom, name", recvfrom(server, data, 4, 0, (struct sockaddr *)nowhere, null));
	drain();
	client_sends("hello", 5);
	says("recvmsg, header", recvmsg(server, null, 0));
	says("recvmmsg, headers", recvmmsg(server, null, 2, 0, NULL));
	m.msg_iov = null;
	says("recvmsg, no list", recvmsg(server, &m, 0));
	m.msg_iov = list;
	says("recvmsg, list", recvmsg(server, &m, 0));
	m.msg_iov = across;
	m.msg_iovlen = 2;
	says("recvmsg, list that ends", recvmsg(server, &m, 0));
	says("readv, list", readv(server, list, 1));
	says("readv, list that ends", readv(server, across, 2));
	drain();
	client_sends("hello", 5);
	m.msg_iov = half;
	says("recvmsg, half a buffer", recvmsg(server, &m, 0));
	drain();
	client_sends("hello", 5);
	says("readv, half a buffer", readv(server, half, 2));
	drain();
	client_sends("hello", 5);
	m = (struct msghdr){
		.msg_name = nowhere, .msg_namelen = 28, .msg_iov = half, .msg_iovlen = 1
	};
	says("recvmsg, name", recvmsg(server, &m, MSG_DONTWAIT));
	drain();
	client_sends("hello", 5);
	v[1].msg_hdr.msg_iov = null;
	says("recvmmsg, second list", recvmmsg(server, v, 2, MSG_DONTWAIT, NULL));
	drain();
	for (int i = 0; i < 2; i++) {
		udp_set(SOL_IP, IP_PKTINFO, i);
		udp_set(SOL_IPV6, IPV6_RECVPKTINFO, i);
		client_sends("hello", 5);
		m = (struct msghdr){ .msg_name = &from,
				     .msg_namelen = sizeof(from),
				     .msg_iov = half,
				     .msg_iovlen = 1,
				     .msg_control = null,
				     .msg_controllen = sizeof(control) };
		m.msg_control = (char *)m.msg_control + 8;
		says("recvmsg, control", recvmsg(server, &m, 0));
		printf("  controllen %zu flags %x\n", (size_t)m.msg_controllen, m.msg_flags);
	}
	udp_set(SOL_IP, IP_PKTINFO, 0);
	udp_set(SOL_IPV6, IPV6_RECVPKTINFO, 0);
	drain();
}

static void sending_nowhere(char *nowhere, char *null)
{
	char data[5] = "hello";
	struct iovec iov = { data, sizeof(data) };
	struct msghdr m = { .msg_name = &server_addr,
			    .msg_namelen = server_len,
			    .msg_iov = &iov,
			    .msg_iovlen = 1 };

	says("sendto, name", sendto(server, data, 5, 0, (struct sockaddr *)(null + 8), server_len));
	says("sendto, buffer",
	     sendto(server, nowhere, 5, 0, (struct sockaddr *)&server_addr, server_len));
	says("sendmsg, header", sendmsg(server, (struct msghdr *)null, 0));
	says("sendmmsg, headers", sendmmsg(server, (struct mmsghdr *)null, 2, 0));
	says("writev, list", writev(server, (struct iovec *)nowhere, 1));
	m.msg_iov = (struct iovec *)nowhere;
	says("sendmsg, list", sendmsg(server, &m, 0));
	m.msg_iov = &iov;
	m.msg_name = null + 8;
	says("sendmsg, name", sendmsg(server, &m, 0));
	m.msg_name = &server_addr;
	m.msg_control = null + 8;
	m.msg_controllen = 64;
	says("sendmsg, control", sendmsg(server, &m, 0));
}

/* Where the program's memory is not. */
static void nowhere(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *end = edge(page);
	/* Not known to the compiler, which warns of it. */
	char *volatile null = NULL;

	/* Some take the datagram that is there. */
	if (fcntl(server, F_SETFL, O_NONBLOCK) < 0)
		guest_die("O_NONBLOCK");
	receiving_nowhere(end, null);
	sending_nowhere(end, null);
	munmap(end - page, page);
}

static void state(void)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	int n = -1;

	printf("getsockname: %d", getsockname(server, (struct sockaddr *)&addr, &len));
	print_bytes("", &addr, len);
	printf("getpeername: %d\n", getpeername(server, (struct sockaddr *)&addr, &len));
	client_sends("hello", 5);
	printf("FIONREAD: %d", ioctl(server, FIONREAD, &n));
	printf(" %d\n", n);
	drain();
}

/* Another descriptor of the server, that the kernel has just confirmed to be that. */
static int used_copy(void)
{
	int copy = dup(server);
	char data[8];

	client_sends("copy", 4);
	if (copy < 0 || recv(copy, data, sizeof(data), 0) != 4)
		guest_die("copy");
	return copy;
}

/* Its number becomes that of a Unix socket, and descriptors come by that to who wants none. */
static void number_of_a_unix_socket(void)
{
	union {
		struct cmsghdr first;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .first = { .cmsg_len = CMSG_LEN(sizeof(int)),
				 .cmsg_level = SOL_SOCKET,
				 .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { "x", 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	int copy = used_copy(), ends[2], before;
	ssize_t n;
	char byte;

	close(copy);
	memcpy(CMSG_DATA(&control.first), &client, sizeof(client));
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) < 0 || sendmsg(ends[1], &m, 0) != 1)
		guest_die("socketpair");
	before = guest_count_descriptors();
	printf("same number: %d\n", ends[0] == copy);
	n = recv(ends[0], &byte, 1, 0);
	printf("received %zd, %d descriptors\n", n, guest_count_descriptors() - before);
	close(ends[0]);
	close(ends[1]);
}

/* Where the client is, as the server knows it. */
static socklen_t client_address(struct sockaddr_storage *ret)
{
	struct sockaddr_in6 own; /* the port is where that of IPv4 is */
	socklen_t len = sizeof(own);

	if (getsockname(client, (struct sockaddr *)&own, &len) < 0)
		guest_die("getsockname");
	return guest_address(ipv6 ? "::1" : "127.0.0.1", ntohs(own.sin6_port), ret);
}

/* Its number becomes that of another UDP socket, made and bound behind libc's back, which receives
 * something (@flags 0) or is asked in vain: what it sends to the client leaves from itself. */
static void number_of_another_udp_socket(int flags)
{
	struct sockaddr_storage addr, peer;
	socklen_t len = guest_address(ipv6 ? "::1" : "127.0.0.3", 0, &addr), peer_len;
	int copy = used_copy(), other;
	char data[8];

	syscall(SYS_close, copy);
	other = (int)syscall(SYS_socket, addr.ss_family, SOCK_DGRAM, 0);
	printf("same number: %d\n", other == copy);
	if (syscall(SYS_bind, other, &addr, len) < 0 ||
	    getsockname(other, (struct sockaddr *)&addr, &len) < 0)
		guest_die("another UDP socket");
	if (flags == 0 && sendto(client, "other", 5, 0, (struct sockaddr *)&addr, len) != 5)
		guest_die("client");
	printf("received %zd\n", recv(other, data, sizeof(data), flags));
	peer_len = client_address(&peer);
	if (sendto(other, "other", 5, 0, (struct sockaddr *)&peer, peer_len) != 5)
		guest_die("send");
	peer_len = sizeof(peer);
	if (recvfrom(client, data, sizeof(data), 0, (struct sockaddr *)&peer, &peer_len) != 5)
		guest_die("answer");
	printf("from itself: %d\n", peer_len == len && memcmp(&peer, &addr, len) == 0);
	close(other);
}

/* The server's number becomes that of what accept() makes, without a call of libc that closes it:
 * there is something to be read, and less room than that, or none. */
static void number_of_a_connection(void)
{
	struct sockaddr_storage any, addr;
	socklen_t len = guest_address(ipv6 ? "::1" : "127.0.0.1", 0, &any);
	int listener = socket(any.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int peer = socket(any.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener < 0 || peer < 0 || bind(listener, (struct sockaddr *)&any, len) < 0 ||
	    listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&addr, &len) < 0 ||
	    connect(peer, (struct sockaddr *)&addr, len) < 0 || send(peer, "abcdefgh", 8, 0) != 8)
		guest_die("connection");
	/* The kernel has just said what the number is. */
	client_sends("last", 4);
	by_recvfrom("last", 16, sizeof(addr), 0);
	syscall(SYS_close, server);
	printf("same number: %d\n", accept(listener, NULL, NULL) == server);
	by_recvmsg("connection, no room", 0, 0, 0, 0);
	by_recv("connection, little room", 3, 0);
	by_recvfrom("connection, the rest", 16, sizeof(addr), 0);
	close(peer);
	by_recv("connection, end", 16, 0);
	close(listener);
}

/* That of a pipe, by which no such call works. */
static void number_of_a_pipe(void)
{
	int ends[2];

	close(server);
	if (pipe(ends) < 0 || write(ends[1], "abc", 3) != 3)
		guest_die("pipe");
	printf("same number: %d\n", ends[0] == server);
	by_recv("pipe", 16, 0);
	by_read("pipe", 16);
}

int main(int argc, char **argv)
{
	struct sockaddr_storage any;

	if (argc != 3)
		return 1;
	setvbuf(stdout, NULL, _IOFBF, 1 << 20);
	server_len = guest_address(argv[1], (uint16_t)strtoul(argv[2], NULL, 10), &server_addr);
	ipv6 = server_addr.ss_family == AF_INET6;
	guest_address(ipv6 ? "::" : "0.0.0.0", 0, &any);
	server = socket(server_addr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	client = socket(server_addr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (server < 0 || client < 0 || bind(client, (struct sockaddr *)&any, server_len) < 0 ||
	    bind(server, (struct sockaddr *)&server_addr, server_len) < 0)
		guest_die("bind");
	state();
	names_and_sizes();
	cut();
	no_room();
	no_room_for_data();
	vectors();
	nothing_there();
	many();
	control();
	errors();
	sending();
	nowhere();
	number_of_a_unix_socket();
	number_of_another_udp_socket(0);
	number_of_another_udp_socket(MSG_DONTWAIT);
	number_of_another_udp_socket(MSG_ERRQUEUE);
	number_of_a_connection();
	number_of_a_pipe();
	puts("ready");
	fflush(stdout);
	return 0;
}
