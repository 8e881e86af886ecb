/* SPDX-License-Identifier: BSD-3-Clause */
/* ISOMER_RULES: which socket registers under which label.
 *
 *   rules    = rule { ";" rule }        the first rule that matches decides
 *   rule     = label "=" protocol ":" address ":" port
 *   label    = a label, or "-": never register
 *   protocol = "tcp" | "udp" | "*"
 *   address  = "*" | IPv4 [ "/" bits ] | "[" IPv6 "]" [ "/" bits ]
 *   port     = number | first "-" last | "*"
 *
 *   web=tcp:*:80;tls=tcp:[2001:db8::]/32:443;-=tcp:127.0.0.1:*
 *
 * "[2001:db8::/32]" is read as well, 0 is another way to write the port "*", and empty rules and
 * white space around a rule are skipped, so that a list may end with ";" or go over several lines.
 *
 * Address and port are the socket's own. A socket on 0.0.0.0 or :: is on that very address: "*",
 * the address itself and a prefix that contains it (0.0.0.0/0) match it, 127.0.0.1 does not. An
 * IPv6 socket on an IPv4-mapped address counts as IPv4.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "state/parse.h"
#include "state/socket.h"

#define ISOMER_RULES_TEXT_SIZE 16384 /* of the whole variable, with the terminating NUL */
#define ISOMER_RULES_MAX       256

struct isomer_rule {
	const char *label; /* into the text of its rules; NULL: never register */
	uint8_t protocol;  /* 0: any */
	bool any_address;  /* @prefix does not count */
	struct isomer_prefix prefix;
	struct isomer_ports ports;
};

struct isomer_rules {
	size_t n;
	struct isomer_rule rule[ISOMER_RULES_MAX];
	char text[ISOMER_RULES_TEXT_SIZE];
};

/** What is wrong with a text. */
struct isomer_rules_mistake {
	unsigned rule;    /* which one, counted from 1; 0: all of it */
	const char *text; /* that rule, within the text that was parsed */
	size_t len;
	const char *what;
};

/**
 * Reads all rules of @text, of which @ret keeps a copy; no rule at all is fine too.
 *
 * Returns 0, or -EINVAL with @ret_mistake filled; @ret is then undefined. Allocates nothing.
 */
int isomer_rules_parse(const char *text, struct isomer_rules *ret,
		       struct isomer_rules_mistake *ret_mistake);

/** The first rule that matches the socket, NULL when there is none. */
const struct isomer_rule *isomer_rules_match(const struct isomer_rules *rules,
					     const struct isomer_socket *s);
