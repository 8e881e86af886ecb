/* SPDX-License-Identifier: BSD-3-Clause */
/* A look at the machine: what isomer needs of it, tried rather than guessed from a version. */
#pragma once

#include "loader/command.h"
#include "loader/findings.h"

/** What the kernel can do, and what it lets this user and others do. */
void examine_kernel(const struct context *ctx, struct findings *f);

/** The BPF filesystem and what lies there; other programs at the same place. */
void examine_state(const struct context *ctx, struct findings *f);

/** Whether packets of what is bound end on this host at all. */
void examine_routes(const struct context *ctx, struct findings *f);

/** The preload library, and who may keep servers from bpf(). */
void examine_servers(struct findings *f);
