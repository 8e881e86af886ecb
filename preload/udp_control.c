/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/udp_control.h"

/* One that starts at @offset, as the kernel steps through them. False: there is none. */
static bool message_at(const struct msghdr *m, size_t offset, struct cmsghdr *ret)
{
	if (!m->msg_control || offset > m->msg_controllen ||
	    m->msg_controllen - offset < sizeof(*ret))
		return false;
	memcpy(ret, (const char *)m->msg_control + offset, sizeof(*ret));
	return ret->cmsg_len >= sizeof(*ret) && ret->cmsg_len <= m->msg_controllen - offset;
}

static const void *data_at(const struct msghdr *m, size_t offset)
{
	return (const char *)m->msg_control + offset + CMSG_LEN(0);
}

static bool is(const struct cmsghdr *c, int level, int type)
{
	return c->cmsg_level == level && c->cmsg_type == type;
}

/* ---- received ---- */

static bool is_unwanted(const struct cmsghdr *c, unsigned wishes)
{
	return (is(c, SOL_IP, IP_ORIGDSTADDR) && !(wishes & UDP_WISH_ORIGDST4)) ||
	       (is(c, SOL_IPV6, IPV6_RECVORIGDSTADDR) && !(wishes & UDP_WISH_ORIGDST6));
}

void udp_control_give(const struct msghdr *from, unsigned wishes, struct msghdr *to)
{
	char *start = to->msg_control, *end = start;
	size_t left = start ? to->msg_controllen : 0;
	struct cmsghdr c;

	to->msg_flags = from->msg_flags;
	for (size_t at = 0, next; message_at(from, at, &c); at = next) {
		size_t space = CMSG_ALIGN(c.cmsg_len);
		const void *data = data_at(from, at);

		next = at + space;
		if (is_unwanted(&c, wishes))
			continue;
		if (left < c.cmsg_len)
			to->msg_flags |= MSG_CTRUNC;
		if (left < sizeof(c))
			continue;
		if (c.cmsg_len > left)
			c.cmsg_len = left;
		memmove(end + CMSG_LEN(0), data, c.cmsg_len - CMSG_LEN(0));
		memcpy(end, &c, sizeof(c));
		space = space < left ? space : left;
		end += space;
		left -= space;
	}
	to->msg_controllen = (size_t)(end - start);
}

bool udp_control_destination(const struct msghdr *m, struct udp_address *ret)
{
	struct cmsghdr c;

	for (size_t at = 0; message_at(m, at, &c); at += CMSG_ALIGN(c.cmsg_len))
		if (is(&c, SOL_IP, IP_ORIGDSTADDR) || is(&c, SOL_IPV6, IPV6_RECVORIGDSTADDR))
			return udp_address_of(data_at(m, at), (socklen_t)(c.cmsg_len - CMSG_LEN(0)),
					      ret);
	return false;
}

/* ---- to be sent ---- */

/* Where the source stands that an IP_PKTINFO or IPV6_PKTINFO at @at has room for, and its size; 0:
 * it is neither. */
static size_t source_at(const struct cmsghdr *c, size_t at, size_t *ret_at)
{
	at += CMSG_LEN(0);
	if (is(c, SOL_IP, IP_PKTINFO) && c->cmsg_len == CMSG_LEN(sizeof(struct in_pktinfo))) {
		*ret_at = at + offsetof(struct in_pktinfo, ipi_spec_dst);
		return sizeof(struct in_addr);
	}
	if (is(c, SOL_IPV6, IPV6_PKTINFO) && c->cmsg_len >= CMSG_LEN(sizeof(struct in6_pktinfo))) {
		*ret_at = at + offsetof(struct in6_pktinfo, ipi6_addr);
		return sizeof(struct in6_addr);
	}
	return 0;
}

bool udp_control_has_source(const struct msghdr *m)
{
	static const char nothing[sizeof(struct in6_addr)];
	struct cmsghdr c;

	for (size_t at = 0, source, size; message_at(m, at, &c); at += CMSG_ALIGN(c.cmsg_len)) {
		size = source_at(&c, at, &source);
		if (size && memcmp((const char *)m->msg_control + source, nothing, size) != 0)
			return true;
	}
	return false;
}

static size_t write_source(const struct udp_address *local, char *buffer)
{
	struct cmsghdr c = { .cmsg_len = CMSG_LEN(sizeof(struct in6_pktinfo)),
			     .cmsg_level = SOL_IPV6,
			     .cmsg_type = IPV6_PKTINFO };
	struct in6_pktinfo in6 = { .ipi6_addr = udp_address_in6(local),
				   .ipi6_ifindex = local->scope };
	struct in_pktinfo in = { .ipi_spec_dst = udp_address_in(local) };

	memset(buffer, 0, UDP_CONTROL_SOURCE);
	if (udp_address_is_ipv4(local)) {
		c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(in)),
				      .cmsg_level = SOL_IP,
				      .cmsg_type = IP_PKTINFO };
		memcpy(buffer + CMSG_LEN(0), &in, sizeof(in));
	} else {
		memcpy(buffer + CMSG_LEN(0), &in6, sizeof(in6));
	}
	memcpy(buffer, &c, sizeof(c));
	return CMSG_ALIGN(c.cmsg_len);
}

/* One of the program's that says by which interface alone would undo a source before it. */
static void fill_in(struct msghdr *m, const struct udp_address *local)
{
	const char *addr = (const char *)local->addr;
	struct cmsghdr c;

	for (size_t at = 0, source, size; message_at(m, at, &c); at += CMSG_ALIGN(c.cmsg_len)) {
		size = source_at(&c, at, &source);
		if (size)
			memcpy((char *)m->msg_control + source, addr + sizeof(local->addr) - size,
			       size);
	}
}

bool udp_control_add_source(struct msghdr *m, const struct udp_address *local, void *buffer,
			    size_t size)
{
	size_t own = m->msg_control ? m->msg_controllen : 0, source;

	if (size < UDP_CONTROL_SOURCE || own > size - UDP_CONTROL_SOURCE)
		return false;
	/* Before the program's: behind its last one may be bytes that are none. */
	source = write_source(local, buffer);
	if (own)
		memcpy((char *)buffer + source, m->msg_control, own);
	m->msg_control = buffer;
	m->msg_controllen = source + own;
	if (own)
		fill_in(m, local);
	return true;
}
