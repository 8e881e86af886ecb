/* SPDX-License-Identifier: BSD-3-Clause */
/* How the library comes to life: by its constructor, or by the first hook if that is earlier. */
#pragma once

#include "preload/config.h"

/** The configuration, or NULL when there is nothing to do: for ever, or not yet. errno survives. */
const struct config *start_config(void);

/** A call worked on @fd for which start_config() had said NULL: if that was "not yet", the socket
 * is looked at again as soon as there is a configuration. */
void start_remember(int fd);
