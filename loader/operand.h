/* SPDX-License-Identifier: BSD-3-Clause */
/* Operands of commands: parsed to the last byte, with one line that names the mistake. All return
 * 0, or EXIT_USAGE after the message, and leave the output untouched then.
 */
#pragma once

#include <sys/types.h>

#include "loader/bindings.h"
#include "loader/grants.h"
#include "state/parse.h"

int operand_label(const char *text);
int operand_protocol(const char *text, uint8_t *ret);
int operand_domain(const char *text, uint8_t *ret);
int operand_ports(const char *text, struct isomer_ports *ret);
int operand_port(const char *text, uint16_t *ret); /* 1 to 65535 */
int operand_number(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *ret);

/** ADDRESS[/LEN]; a notice on stderr says when host bits were cleared. */
int operand_prefix(const char *text, struct isomer_prefix *ret);

/** An address without /LEN. */
int operand_address(const char *text, struct isomer_prefix *ret);

/** LABEL PROTOCOL PREFIX PORT, without the destination. */
int operand_binding(char **args, struct isomer_binding *ret);

int operand_group(const char *text, gid_t *ret);

/** USER[:GROUP], by name or number. */
int operand_grantee(const char *text, struct label_grant *ret);
