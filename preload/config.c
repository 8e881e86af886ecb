/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/config.h"

#include <stdlib.h>
#include <string.h>

#include <isomer/registrar.h>

#include "state/label.h"
#include "state/state.h"

static const char *const names[CONFIG_VARIABLES] = {
	[CONFIG_LABEL] = "ISOMER_LABEL",       [CONFIG_RULES] = "ISOMER_RULES",
	[CONFIG_ON_ERROR] = "ISOMER_ON_ERROR", [CONFIG_LOG] = "ISOMER_LOG",
	[CONFIG_BPFFS] = "ISOMER_BPFFS",       [CONFIG_SOCKET] = "ISOMER_REGISTRAR",
	[CONFIG_VIA] = "ISOMER_VIA",           [CONFIG_INHERIT] = "ISOMER_INHERIT",
};

const char *config_variable_name(enum config_variable variable)
{
	return names[variable];
}

/* secure_getenv(): who starts a setuid program does not tell it where its traffic goes. */
static const char *read_variable(enum config_variable variable)
{
	const char *value = secure_getenv(names[variable]);

	return value && *value ? value : NULL;
}

static void mistake(struct config *c, enum config_variable variable, const char *text, size_t len,
		    const char *what)
{
	struct config_mistake *m = &c->mistakes[variable];

	m->what = what;
	if (len < sizeof(m->text)) {
		memcpy(m->text, text, len);
		m->text[len] = '\0';
	} else {
		memcpy(m->text, text, sizeof(m->text) - 4);
		memcpy(m->text + sizeof(m->text) - 4, "...", 4);
	}
}

static void load_label(struct config *c)
{
	const char *value = read_variable(CONFIG_LABEL);
	size_t len;

	if (!value)
		return;
	c->active = true;
	len = strnlen(value, sizeof(c->label_text));
	if (isomer_label_check(value) < 0) {
		mistake(c, CONFIG_LABEL, value, len,
			"the label must be 1 to 255 characters of A-Z a-z 0-9 _ . @ : + -");
		c->refused = true;
		return;
	}
	memcpy(c->label_text, value, len + 1); /* fits: it is a label */
	c->label = c->label_text;
}

static void load_rules(struct config *c)
{
	const char *value = read_variable(CONFIG_RULES);
	struct isomer_rules_mistake m;

	if (!value)
		return;
	if (isomer_rules_parse(value, &c->rules, &m) < 0) {
		mistake(c, CONFIG_RULES, m.text, m.len, m.what);
		c->mistakes[CONFIG_RULES].rule = m.rule;
		c->rules.n = 0;
		c->active = c->refused = true;
	}
	c->active = c->active || c->rules.n > 0;
}

/* Copies the variable's value to @ret, of @size bytes. Returns it, or @otherwise when it is unset
 * or no path. A relative one would lead elsewhere once the server has changed its
 * directory. */
static const char *load_path(struct config *c, enum config_variable variable, char *ret,
			     size_t size, const char *otherwise, const char *what)
{
	const char *value = read_variable(variable);
	size_t len;

	if (!value)
		return otherwise;
	len = strnlen(value, size);
	if (value[0] != '/' || len == size) {
		mistake(c, variable, value, len, what);
		c->refused = true;
		return otherwise;
	}
	return memcpy(ret, value, len + 1);
}

static void load_paths(struct config *c)
{
	c->bpffs = load_path(c, CONFIG_BPFFS, c->bpffs_text, sizeof(c->bpffs_text),
			     ISOMER_BPFFS_DEFAULT,
			     "must be an absolute path of at most 255 characters");
	c->registrar = load_path(c, CONFIG_SOCKET, c->registrar_text, sizeof(c->registrar_text),
				 ISOMER_REGISTRAR_PATH,
				 "must be an absolute path of at most 107 characters");
}

/* The index of the variable's value among @words, which NULL ends; @otherwise when it is unset or
 * none of them. */
static int load_word(struct config *c, enum config_variable variable, const char *const *words,
		     int otherwise, const char *what)
{
	const char *value = read_variable(variable);

	if (!value)
		return otherwise;
	for (int i = 0; words[i]; i++)
		if (!strcmp(value, words[i]))
			return i;
	mistake(c, variable, value, strnlen(value, sizeof(c->mistakes->text)), what);
	return otherwise;
}

void config_load(struct config *ret)
{
	static const char *const on_error[] = { "warn", "ignore", "fail", NULL };
	static const char *const log[] = { "error", "warn", "info", "debug", NULL };
	static const char *const via[] = { "auto", "bpf", "registrar", NULL };
	static const char *const inherit[] = { "0", "1", NULL };

	ret->active = ret->refused = false;
	ret->label = NULL;
	ret->rules.n = 0;
	memset(ret->mistakes, 0, sizeof(ret->mistakes));

	load_label(ret);
	load_rules(ret);
	load_paths(ret);
	ret->on_error =
		(enum config_on_error)load_word(ret, CONFIG_ON_ERROR, on_error, CONFIG_WARN,
						"must be warn, ignore or fail; warn is used");
	ret->log = (enum report_level)load_word(ret, CONFIG_LOG, log, REPORT_WARN,
						"must be error, warn, info or debug; warn is used");
	ret->via = (enum config_via)load_word(ret, CONFIG_VIA, via, CONFIG_AUTO,
					      "must be auto, bpf or registrar; auto is used");
	ret->inherit = load_word(ret, CONFIG_INHERIT, inherit, 1, "must be 0 or 1; 1 is used");
}
