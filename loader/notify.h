/* SPDX-License-Identifier: BSD-3-Clause */
/* What a service manager is told of a service's state: systemd's Type=notify. */
#pragma once

/** Sends "READY=1", "STATUS=…" and the like, one a line, to the service manager that started the
 * program, if there is one that listens. Returns 0, -ELIBACC when libsystemd is not installed, or
 * another negative errno. */
int notify_manager(const char *state);
