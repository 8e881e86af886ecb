/* SPDX-License-Identifier: BSD-3-Clause */
/* The environment, read once: a value that nobody changes afterwards. */
#pragma once

#include <stdbool.h>

#include <isomer/abi.h>

#include "preload/report.h"
#include "state/rules.h"

#define CONFIG_BPFFS_SIZE     256
#define CONFIG_REGISTRAR_SIZE 108 /* what an address of a Unix socket holds */

enum config_on_error {
	CONFIG_WARN,   /* one line, the server runs unregistered */
	CONFIG_IGNORE, /* no line */
	CONFIG_FAIL,   /* the call fails */
};

enum config_via {
	CONFIG_AUTO,      /* bpf() where it may be called, else the registrar */
	CONFIG_BPF,       /* bpf() in this process, also under a seccomp filter */
	CONFIG_REGISTRAR, /* never bpf() in this process */
};

enum config_variable {
	CONFIG_LABEL,
	CONFIG_RULES,
	CONFIG_ON_ERROR,
	CONFIG_LOG,
	CONFIG_BPFFS,
	CONFIG_SOCKET,
	CONFIG_VIA,
	CONFIG_INHERIT,
	CONFIG_VARIABLES,
};

/** A variable that could not be read. */
struct config_mistake {
	const char *what; /* NULL: there is none */
	unsigned rule;    /* which rule, 0: the whole variable */
	char text[48];    /* the offending text, may be cut */
};

struct config {
	bool active;  /* there is a label, or a rule, or a mistake in one */
	bool refused; /* a mistake of the kind that makes any registering a guess: none is done */
	const char *label; /* NULL: rules alone decide */
	struct isomer_rules rules;
	enum config_on_error on_error;
	enum report_level log;
	const char *bpffs;
	const char *registrar; /* path of its socket */
	enum config_via via;
	bool inherit;
	struct config_mistake mistakes[CONFIG_VARIABLES];

	char label_text[ISOMER_LABEL_MAX + 1];
	char bpffs_text[CONFIG_BPFFS_SIZE];
	char registrar_text[CONFIG_REGISTRAR_SIZE];
};

/**
 * Reads the environment. An empty variable counts as unset. Of a variable with a mistake
 * ISOMER_LABEL, ISOMER_RULES, ISOMER_BPFFS and ISOMER_REGISTRAR make the value `refused`, the
 * others leave the default in place. Never writes to stderr: a shell that starts a server inherits
 * its variables, and has nothing to say about them.
 *
 * @ret is static memory (it is too big for a stack). Allocates nothing.
 */
void config_load(struct config *ret);

/** The name of a variable, "ISOMER_LABEL" and so on. */
const char *config_variable_name(enum config_variable variable);
