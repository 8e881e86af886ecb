/* SPDX-License-Identifier: BSD-3-Clause */
/* Services as docs/servers.md says they are started, in a folder of the test's own. */
#pragma once

#include <stdint.h>

#include "integration/service_table.h"
#include "support/process.h"

/** Where a service runs: a file system that ends with the namespaces of the test, with what is in
 * guests/services. */
#define SERVICE_FOLDER "/mnt"

/** The local port in the commands of the table. */
#define SERVICE_PORT 8080

/** Makes the folder. */
void service_prepare(void);

/** Starts the row's command by a shell, on @port in place of SERVICE_PORT. @fd > 0: a socket that
 * it gets as systemd would pass it. */
struct process *service_start(const struct service_row *row, uint16_t port, int fd);
