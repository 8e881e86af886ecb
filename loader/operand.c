/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/operand.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/log.h"
#include "loader/users.h"
#include "state/cleanup.h"
#include "state/label.h"

int operand_label(const char *text)
{
	int r = isomer_label_check(text);

	if (r == -ENAMETOOLONG)
		return log_usage("label '%.32s...' is too long: at most %d bytes, and a dot counts "
				 "three in its file name of at most %d",
				 text, ISOMER_LABEL_MAX, ISOMER_LABEL_NAME_SIZE - 1);
	if (r < 0)
		return log_usage("label '%s' is not valid: 1 to %d of A-Z a-z 0-9 _ . @ : + -, and "
				 "not '-' alone",
				 text, ISOMER_LABEL_MAX);
	return 0;
}

int operand_protocol(const char *text, uint8_t *ret)
{
	if (isomer_parse_protocol(text, strlen(text), ret) < 0)
		return log_usage("protocol '%s' is neither tcp nor udp", text);
	return 0;
}

int operand_domain(const char *text, uint8_t *ret)
{
	if (isomer_parse_domain(text, strlen(text), ret) < 0)
		return log_usage("domain '%s' is neither ipv4 nor ipv6", text);
	return 0;
}

int operand_ports(const char *text, struct isomer_ports *ret)
{
	int r = isomer_parse_ports(text, strlen(text), ret);

	if (r == -ERANGE)
		return log_usage("port '%s' is out of range: 1 to 65535, a range runs upwards, and "
				 "0 means all ports",
				 text);
	if (r < 0)
		return log_usage("port '%s' is not a number, a range a-b, or 0 for all ports",
				 text);
	return 0;
}

int operand_number(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t number;

	if (isomer_parse_number(text, strlen(text), max, &number) < 0 || number < min)
		return log_usage("%s '%s' is not a number from %llu to %llu", what, text,
				 (unsigned long long)min, (unsigned long long)max);
	*ret = number;
	return 0;
}

int operand_port(const char *text, uint16_t *ret)
{
	uint64_t port;
	int status = operand_number("port", text, 1, UINT16_MAX, &port);

	if (status == 0)
		*ret = (uint16_t)port;
	return status;
}

static int parse_prefix(const char *text, struct isomer_prefix *ret, bool *ret_masked)
{
	int r = isomer_parse_prefix(text, strlen(text), ret, ret_masked);

	if (r == -EAFNOSUPPORT)
		return log_usage(
			"prefix '%s' is an IPv4-mapped IPv6 address, which is never on the "
			"wire: write it as IPv4",
			text);
	if (r == -ERANGE)
		return log_usage("prefix '%s' is too long: at most /32 for IPv4, /128 for IPv6",
				 text);
	if (r < 0)
		return log_usage("prefix '%s' is not an IPv4 or IPv6 ADDRESS[/LEN]", text);
	return 0;
}

int operand_prefix(const char *text, struct isomer_prefix *ret)
{
	struct isomer_binding masked = { .miss = 0 };
	char shown[PREFIX_TEXT_SIZE];
	bool was_masked;
	int status = parse_prefix(text, ret, &was_masked);

	if (status == 0 && was_masked) {
		masked.domain = ret->domain;
		masked.prefixlen = ret->len;
		memcpy(masked.addr, ret->addr, sizeof(masked.addr));
		binding_prefix_text(&masked, shown);
		log_notice("prefix '%s' has bits set behind its length: taken as %s", text, shown);
	}
	return status;
}

int operand_address(const char *text, struct isomer_prefix *ret)
{
	if (strchr(text, '/'))
		return log_usage("address '%s' must be without a length", text);
	return parse_prefix(text, ret, NULL);
}

int operand_binding(char **args, struct isomer_binding *ret)
{
	struct isomer_prefix prefix;
	struct isomer_ports ports;
	uint8_t protocol;
	int status;

	status = operand_label(args[0]);
	if (status == 0)
		status = operand_protocol(args[1], &protocol);
	if (status == 0)
		status = operand_ports(args[3], &ports);
	if (status == 0)
		status = operand_prefix(args[2], &prefix); /* last: it may have something to say */
	if (status)
		return status;

	*ret = (struct isomer_binding){
		.domain = prefix.domain,
		.protocol = protocol,
		.prefixlen = prefix.len,
		.port_first = ports.first,
		.port_last = ports.last,
	};
	memcpy(ret->addr, prefix.addr, sizeof(ret->addr));
	return 0;
}

/* ---- users and groups ---- */

int operand_group(const char *text, gid_t *ret)
{
	if (!group_find(text, ret))
		return log_usage("there is no group '%s'", text);
	return 0;
}

int operand_grantee(const char *text, struct label_grant *ret)
{
	CLEANUP_FREE char *user = strdup(text);
	struct label_grant grant = { .granted = true };
	char *group;

	if (!user)
		return log_failure(-ENOMEM, "cannot read '%s': %m", text);
	group = strchr(user, ':');
	if (group)
		*group++ = '\0';
	if (!user_find(user, &grant.uid))
		return log_usage("there is no user '%s'", user);
	if (group && !group_find(group, &grant.gid))
		return log_usage("there is no group '%s'", group);

	grant.has_group = group != NULL;
	*ret = grant;
	return 0;
}
