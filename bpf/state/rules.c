/* SPDX-License-Identifier: BSD-3-Clause */
#include "state/rules.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "state/label.h"

/* A piece of text, not NUL-terminated. */
struct piece {
	const char *text;
	size_t len;
};

static bool is_star(struct piece p)
{
	return p.len == 1 && p.text[0] == '*';
}

/* Cuts @rest at the first @separator: what is before it becomes @ret. False: there is none. */
static bool cut_at(struct piece *rest, char separator, struct piece *ret)
{
	const char *end = rest->len ? memchr(rest->text, separator, rest->len) : NULL;

	if (!end)
		return false;
	*ret = (struct piece){ rest->text, (size_t)(end - rest->text) };
	rest->len -= ret->len + 1;
	rest->text = end + 1;
	return true;
}

/* The parsers below return NULL, or what is wrong. */

/* The label's NUL goes where its '=' was: @rest lies within the copy, which is ours. */
static const char *parse_label(struct piece *rest, struct isomer_rule *rule)
{
	struct piece label;

	if (!cut_at(rest, '=', &label))
		return "'=' behind the label is missing";
	((char *)label.text)[label.len] = '\0';
	if (label.len == 1 && label.text[0] == '-')
		return NULL;
	if (isomer_label_check(label.text) < 0)
		return "the label must be 1 to 255 characters of A-Z a-z 0-9 _ . @ : + -";

	rule->label = label.text;
	return NULL;
}

static const char *parse_protocol(struct piece *rest, struct isomer_rule *rule)
{
	struct piece protocol;

	if (!cut_at(rest, ':', &protocol))
		return "must be LABEL=PROTOCOL:ADDRESS:PORT";
	if (!is_star(protocol) &&
	    isomer_parse_protocol(protocol.text, protocol.len, &rule->protocol) < 0)
		return "the protocol must be tcp, udp or *";
	return NULL;
}

static const char *parse_prefix(struct piece p, struct isomer_prefix *ret)
{
	int r = isomer_parse_prefix(p.text, p.len, ret, NULL);

	if (r == -EAFNOSUPPORT)
		return "the address is IPv4-mapped: write the IPv4 address";
	if (r == -ERANGE)
		return "the prefix is longer than the address";
	return r < 0 ? "the address must be *, IPv4 or [IPv6], with /BITS or without" : NULL;
}

/* "[ADDRESS]", "[ADDRESS]/BITS" or "[ADDRESS/BITS]"; @rest begins with the bracket. */
static const char *parse_bracketed(struct piece *rest, struct isomer_rule *rule)
{
	char joined[64]; /* longer than any address with a length */
	struct piece inside, behind, whole;
	const char *what;

	rest->text++;
	rest->len--;
	if (!cut_at(rest, ']', &inside))
		return "']' behind the address is missing";
	if (!cut_at(rest, ':', &behind))
		return "':' and a port are missing";
	if (inside.len + behind.len > sizeof(joined) || (behind.len && behind.text[0] != '/'))
		return "the address must be *, IPv4 or [IPv6], with /BITS or without";

	memcpy(joined, inside.text, inside.len);
	memcpy(joined + inside.len, behind.text, behind.len);
	whole = (struct piece){ joined, inside.len + behind.len };
	what = parse_prefix(whole, &rule->prefix);
	if (!what && rule->prefix.domain != AF_INET6)
		what = "brackets are for IPv6 addresses";
	return what;
}

static const char *parse_address(struct piece *rest, struct isomer_rule *rule)
{
	struct piece address, last;

	if (rest->len && rest->text[0] == '[')
		return parse_bracketed(rest, rule);
	if (!cut_at(rest, ':', &address))
		return "must be LABEL=PROTOCOL:ADDRESS:PORT";
	last = *rest;
	if (cut_at(&last, ':', &(struct piece){ 0 }))
		return "too many ':'; IPv6 addresses are written in brackets";

	rule->any_address = is_star(address);
	return rule->any_address ? NULL : parse_prefix(address, &rule->prefix);
}

static const char *parse_port(struct piece port, struct isomer_rule *rule)
{
	int r;

	if (is_star(port)) {
		rule->ports = (struct isomer_ports){ 0, UINT16_MAX };
		return NULL;
	}
	r = isomer_parse_ports(port.text, port.len, &rule->ports);
	if (r == -ERANGE)
		return "ports go from 1 to 65535, a range from the lower to the higher";
	return r < 0 ? "the port must be a number, a range or *" : NULL;
}

static const char *parse_rule(struct piece rest, struct isomer_rule *ret)
{
	const char *what;

	*ret = (struct isomer_rule){ 0 };
	what = parse_label(&rest, ret);
	if (!what)
		what = parse_protocol(&rest, ret);
	if (!what)
		what = parse_address(&rest, ret);
	if (!what)
		what = parse_port(rest, ret);
	return what;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct piece trim(struct piece p)
{
	while (p.len && is_space(p.text[0])) {
		p.text++;
		p.len--;
	}
	while (p.len && is_space(p.text[p.len - 1]))
		p.len--;
	return p;
}

static int mistake(struct isomer_rules_mistake *ret, unsigned rule, struct piece p,
		   const char *what)
{
	*ret = (struct isomer_rules_mistake){ rule, p.text, p.len, what };
	return -EINVAL;
}

int isomer_rules_parse(const char *text, struct isomer_rules *ret,
		       struct isomer_rules_mistake *ret_mistake)
{
	size_t len = strnlen(text, sizeof(ret->text));
	struct piece rest = { ret->text, len }, rule;
	const char *what;
	unsigned number = 0;
	bool more = true;

	if (len == sizeof(ret->text))
		return mistake(ret_mistake, 0, (struct piece){ text, len },
			       "longer than 16383 bytes");
	memcpy(ret->text, text, len + 1);
	ret->n = 0;

	while (more) {
		more = cut_at(&rest, ';', &rule);
		rule = trim(more ? rule : rest);
		number++;
		if (rule.len == 0)
			continue;
		if (ret->n == ISOMER_RULES_MAX)
			return mistake(ret_mistake, 0, (struct piece){ text, len },
				       "more than 256 rules");
		what = parse_rule(rule, &ret->rule[ret->n]);
		if (what) {
			rule.text = text + (rule.text - ret->text); /* as it was given */
			return mistake(ret_mistake, number, rule, what);
		}
		ret->n++;
	}
	return 0;
}

/* The socket's address as the rules see it. */
static struct isomer_prefix address_of(const struct isomer_socket *s)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&s->local;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&s->local;
	struct isomer_prefix a = { 0 };

	if (s->local.ss_family == AF_INET) {
		a.domain = AF_INET;
		memcpy(a.addr, &in->sin_addr, 4);
	} else if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		a.domain = AF_INET;
		memcpy(a.addr, in6->sin6_addr.s6_addr + 12, 4);
	} else {
		a.domain = AF_INET6;
		memcpy(a.addr, &in6->sin6_addr, 16);
	}
	return a;
}

static bool prefix_contains(const struct isomer_prefix *prefix, const struct isomer_prefix *address)
{
	unsigned bytes = prefix->len / 8, bits = prefix->len % 8;

	if (prefix->domain != address->domain || memcmp(prefix->addr, address->addr, bytes) != 0)
		return false;
	return bits == 0 || (prefix->addr[bytes] ^ address->addr[bytes]) >> (8 - bits) == 0;
}

const struct isomer_rule *isomer_rules_match(const struct isomer_rules *rules,
					     const struct isomer_socket *s)
{
	struct isomer_prefix address = address_of(s);

	for (size_t i = 0; i < rules->n; i++) {
		const struct isomer_rule *rule = &rules->rule[i];

		if ((rule->protocol == 0 || rule->protocol == s->protocol) &&
		    (rule->any_address || prefix_contains(&rule->prefix, &address)) &&
		    rule->ports.first <= s->port && s->port <= rule->ports.last)
			return rule;
	}
	return NULL;
}
