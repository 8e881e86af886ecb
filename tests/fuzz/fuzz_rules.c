/* SPDX-License-Identifier: BSD-3-Clause */
/* ISOMER_RULES: rules that were read are whole, a mistake is said of a piece of the text, and the
 * first rule that matches decides. The first bytes are a socket's address.
 */
#include <errno.h>
#include <netinet/in.h>

#include "fuzz/fuzz.h"
#include "state/rules.h"
#include "state/cleanup.h"
#include "state/label.h"

static struct isomer_rules rules;

static void check_rule(const struct isomer_rule *rule)
{
	const char *end = rules.text + sizeof(rules.text);

	CHECK(!rule->label || (rule->label >= rules.text && rule->label < end &&
			       isomer_label_check(rule->label) == 0));
	CHECK(rule->protocol == 0 || isomer_protocol_name(rule->protocol));
	CHECK(rule->any_address || isomer_domain_name(rule->prefix.domain));
	CHECK(rule->ports.first <= rule->ports.last);
}

static void check_mistake(const struct isomer_rules_mistake *m, const char *text)
{
	CHECK(m->what && m->text >= text && m->len <= strlen(text) &&
	      m->text + m->len <= text + strlen(text));
}

static struct isomer_socket make_socket(struct fuzz_input *in)
{
	struct isomer_socket s = { .protocol = fuzz_byte(in) % 2 ? IPPROTO_TCP : IPPROTO_UDP };
	struct sockaddr_storage local = { .ss_family = fuzz_byte(in) % 2 ? AF_INET : AF_INET6 };
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&local;
	struct sockaddr_in *in4 = (struct sockaddr_in *)&local;
	uint16_t port = fuzz_byte(in);

	in4->sin_port = htons(port << 8 | fuzz_byte(in));
	if (local.ss_family == AF_INET)
		for (int i = 0; i < 4; i++)
			((uint8_t *)&in4->sin_addr)[i] = fuzz_byte(in);
	else
		for (int i = 0; i < 16; i++)
			in6->sin6_addr.s6_addr[i] = fuzz_byte(in);
	isomer_socket_set_local(&s, (struct sockaddr *)&local, sizeof(local), false);
	return s;
}

/* An IPv4-mapped address counts as IPv4. */
static bool address_matches(const struct isomer_rule *rule, const struct isomer_socket *s)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&s->local;
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)&s->local;
	bool mapped = s->local.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
	const uint8_t *addr = s->local.ss_family == AF_INET ? (const uint8_t *)&in4->sin_addr
							    : in6->sin6_addr.s6_addr;

	if (rule->any_address)
		return true;
	if (rule->prefix.domain != (mapped ? AF_INET : s->local.ss_family))
		return false;
	addr += mapped ? 12 : 0;
	for (unsigned int bit = 0; bit < rule->prefix.len; bit++)
		if ((addr[bit / 8] ^ rule->prefix.addr[bit / 8]) >> (7 - bit % 8) & 1)
			return false;
	return true;
}

static bool matches(const struct isomer_rule *rule, const struct isomer_socket *s)
{
	return (rule->protocol == 0 || rule->protocol == s->protocol) &&
	       rule->ports.first <= s->port && s->port <= rule->ports.last &&
	       address_matches(rule, s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct isomer_socket s = make_socket(&in);
	CLEANUP_FREE char *text = fuzz_string(in.data, in.size);
	const struct isomer_rule *found;
	struct isomer_rules_mistake m;

	if (isomer_rules_parse(text, &rules, &m) < 0) {
		check_mistake(&m, text);
		return 0;
	}
	CHECK(rules.n <= ISOMER_RULES_MAX);
	found = isomer_rules_match(&rules, &s);
	CHECK(!found || matches(found, &s));
	for (size_t i = 0; i < rules.n; i++) {
		check_rule(&rules.rule[i]);
		CHECK(&rules.rule[i] >= found ? true : !matches(&rules.rule[i], &s));
		CHECK(found || !matches(&rules.rule[i], &s));
	}
	return 0;
}
