/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/local_routes.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "state/cleanup.h"

/* More than the kernel puts into one answer. */
#define ANSWER_SIZE (32 * 1024)

static int ask(int fd)
{
	const struct {
		struct nlmsghdr header;
		struct rtmsg route;
	} question = {
		.header = { .nlmsg_len = sizeof(question),
			    .nlmsg_type = RTM_GETROUTE,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.route = { .rtm_family = AF_UNSPEC, .rtm_type = RTN_LOCAL },
	};
	const int on = 1;

	/* So that the kernel leaves other types out, of which there may be a million; only a
	 * matter of time. */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return send(fd, &question, sizeof(question), 0) < 0 ? -errno : 0;
}

static int add(struct local_routes *routes, const struct nlmsghdr *header)
{
	const struct rtmsg *route = NLMSG_DATA(header);
	struct isomer_prefix *grown,
		prefix = { .domain = route->rtm_family, .len = route->rtm_dst_len };
	int left = (int)RTM_PAYLOAD(header);

	if (header->nlmsg_type != RTM_NEWROUTE || route->rtm_type != RTN_LOCAL ||
	    (prefix.domain != AF_INET && prefix.domain != AF_INET6))
		return 0;
	for (const struct rtattr *a = RTM_RTA(route); RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == RTA_DST && RTA_PAYLOAD(a) <= sizeof(prefix.addr))
			memcpy(prefix.addr, RTA_DATA(a), RTA_PAYLOAD(a));
	grown = reallocarray(routes->entries, routes->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	routes->entries = grown;
	grown[routes->n++] = prefix;
	return 0;
}

/* Returns 1 when there is more to come. */
static int read_answer(int fd, char *answer, struct local_routes *routes)
{
	ssize_t n = recv(fd, answer, ANSWER_SIZE, 0);
	/* Unsigned as the lengths that it is compared with; so it may not fall below 0, as it would
	 * behind a last message without padding. */
	uint32_t left = NLMSG_ALIGN((uint32_t)n);
	int r = 0;

	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	for (const struct nlmsghdr *h = (const void *)answer; r == 0 && NLMSG_OK(h, left);
	     h = NLMSG_NEXT(h, left)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
		r = add(routes, h);
	}
	return r < 0 ? r : 1;
}

int local_routes_read(struct local_routes *ret)
{
	CLEANUP(local_routes_done) struct local_routes routes = LOCAL_ROUTES_NONE;
	CLEANUP_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	CLEANUP_FREE char *answer = malloc(ANSWER_SIZE);
	int r;

	if (fd < 0)
		return -errno;
	if (!answer)
		return -ENOMEM;
	r = ask(fd);
	if (r < 0)
		return r;
	do
		r = read_answer(fd, answer, &routes);
	while (r > 0);
	if (r < 0)
		return r;
	*ret = routes;
	routes = LOCAL_ROUTES_NONE;
	return 0;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned n)
{
	unsigned bytes = n / 8, mask = 0xff00u >> n % 8 & 0xff;

	return !memcmp(a, b, bytes) && (mask == 0 || ((a[bytes] ^ b[bytes]) & mask) == 0);
}

bool local_routes_meet(const struct local_routes *routes, const struct isomer_prefix *prefix)
{
	for (size_t i = 0; i < routes->n; i++) {
		const struct isomer_prefix *route = &routes->entries[i];
		unsigned n = route->len < prefix->len ? route->len : prefix->len;

		if (route->domain == prefix->domain && same_bits(route->addr, prefix->addr, n))
			return true;
	}
	return false;
}

void local_routes_done(struct local_routes *routes)
{
	free(routes->entries);
}
