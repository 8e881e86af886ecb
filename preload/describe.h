/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "preload/report.h"
#include "state/socket.h"

/** Adds "tcp 127.0.0.1:80" or "udp [::]:53" to the line. */
void describe_socket(struct report *line, const struct isomer_socket *s);

/** Adds "tcp 127.0.0.1 80", as the loader's register-pid wants it. */
void describe_operands(struct report *line, const struct isomer_socket *s);
