/* SPDX-License-Identifier: BSD-3-Clause */
/* Control messages of UDP, as a program or the kernel may have written them. The first three bytes
 * are what the program wishes and how much room there is; then come messages: kind, size, bytes.
 */
#include <netinet/in.h>

#include "fuzz/fuzz.h"
#include "preload/udp_control.h"

#define CONTROL_MAX 512

static const struct {
	int level, type;
} kinds[] = {
	{ SOL_IP, IP_ORIGDSTADDR }, { SOL_IPV6, IPV6_RECVORIGDSTADDR },
	{ SOL_IP, IP_PKTINFO },     { SOL_IPV6, IPV6_PKTINFO },
	{ SOL_IP, IP_TOS },         { SOL_SOCKET, SCM_TIMESTAMP },
};

#define KINDS (sizeof(kinds) / sizeof(*kinds))

/* Writes messages to @ret; the size of some is a lie. */
static size_t make_messages(struct fuzz_input *in, char *ret)
{
	size_t n = 0;

	while (in->size && n + CMSG_SPACE(64) <= CONTROL_MAX) {
		uint8_t kind = fuzz_byte(in), size = fuzz_byte(in) % 64;
		struct cmsghdr c = { .cmsg_len = CMSG_LEN(size),
				     .cmsg_level = kinds[kind % KINDS].level,
				     .cmsg_type = kinds[kind % KINDS].type };

		if (kind & 0x80)
			c.cmsg_len = kind & 0x40 ? SIZE_MAX - size : size;
		memset(ret + n, 0, CMSG_SPACE(size));
		memcpy(ret + n, &c, sizeof(c));
		for (size_t i = 0; i < size; i++)
			ret[n + CMSG_LEN(i)] = (char)fuzz_byte(in);
		n += CMSG_SPACE(size);
	}
	return n;
}

/* In memory of exactly that size. */
static struct msghdr copy_of(const char *control, size_t n, size_t size)
{
	struct msghdr m = { .msg_control = malloc(size + !size), .msg_controllen = size };

	CHECK(m.msg_control);
	memset(m.msg_control, 0, size);
	memcpy(m.msg_control, control, n < size ? n : size);
	return m;
}

static bool has(const struct msghdr *m, int level, int type)
{
	size_t at = 0;

	while (m->msg_controllen - at >= sizeof(struct cmsghdr)) {
		struct cmsghdr c;

		memcpy(&c, (char *)m->msg_control + at, sizeof(c));
		CHECK(c.cmsg_len >= sizeof(c) && c.cmsg_len <= m->msg_controllen - at);
		if (c.cmsg_level == level && c.cmsg_type == type)
			return true;
		at += CMSG_ALIGN(c.cmsg_len);
		if (at > m->msg_controllen)
			break;
	}
	return false;
}

/* What the program is given is whole messages without those that it did not ask for, and the same
 * whether its own buffer was used or another. */
static void check_give(const char *control, size_t n, unsigned wishes, size_t room)
{
	struct msghdr from = copy_of(control, n, n), to = copy_of("", 0, room);
	struct msghdr shared = copy_of(control, n, n);
	struct msghdr same = shared;

	udp_control_give(&from, wishes, &to);
	CHECK(to.msg_controllen <= room);
	CHECK((wishes & UDP_WISH_ORIGDST4) || !has(&to, SOL_IP, IP_ORIGDSTADDR));
	CHECK((wishes & UDP_WISH_ORIGDST6) || !has(&to, SOL_IPV6, IPV6_RECVORIGDSTADDR));
	if (room <= n) {
		same.msg_controllen = room;
		udp_control_give(&shared, wishes, &same);
		CHECK(same.msg_controllen == to.msg_controllen && same.msg_flags == to.msg_flags);
		has(&same, -1, -1);
	}
	free(from.msg_control);
	free(to.msg_control);
	free(shared.msg_control);
}

static void check_source(const char *control, size_t n, size_t room,
			 const struct udp_address *local)
{
	struct msghdr own = copy_of(control, n, n), m = own;
	struct msghdr buffer = copy_of("", 0, room);
	struct cmsghdr first;

	(void)udp_control_has_source(&own);
	if (udp_control_add_source(&m, local, buffer.msg_control, room)) {
		CHECK(room >= UDP_CONTROL_SOURCE && m.msg_controllen <= room);
		memcpy(&first, m.msg_control, sizeof(first));
		CHECK(m.msg_controllen == CMSG_ALIGN(first.cmsg_len) + n);
		CHECK(udp_address_is_wildcard(local) || udp_control_has_source(&m));
	} else {
		CHECK(m.msg_control == own.msg_control && m.msg_controllen == n);
		CHECK(room < n + UDP_CONTROL_SOURCE);
	}
	CHECK(!memcmp(own.msg_control, control, n));
	free(own.msg_control);
	free(buffer.msg_control);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	unsigned wishes = fuzz_byte(&in);
	size_t room = (size_t)fuzz_byte(&in) * 4 + fuzz_byte(&in) % 4, n;
	struct udp_address local = { .addr = { 0 } };
	char control[CONTROL_MAX];
	struct msghdr m;

	n = make_messages(&in, control);
	m = copy_of(control, n, n);
	if (udp_control_destination(&m, &local))
		check_source(control, n, room, &local);
	check_give(control, n, wishes, room);
	local = (struct udp_address){ .addr = { 1, wishes } };
	check_source(control, n, room, &local);
	free(m.msg_control);
	return 0;
}
