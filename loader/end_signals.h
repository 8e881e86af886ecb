/* SPDX-License-Identifier: BSD-3-Clause */
/* SIGINT and SIGTERM as something to wait for among other things. */
#pragma once

/** From here on they end nothing: the descriptor, the caller's, can be read from when one has come.
 * Returns 0 or -errno. */
int end_signals(int *ret_fd);
