/* SPDX-License-Identifier: BSD-3-Clause */
/* The environment of a guest: six values with a NUL behind each. What was read is whole, and what
 * could not be read is said.
 */
#include "fuzz/fuzz.h"
#include "preload/config.h"
#include "state/cleanup.h"
#include "state/label.h"

static struct config config;

/* What is left at the front becomes the variable; "unset" when there is nothing left at all. */
static void set_variable(struct fuzz_input *in, enum config_variable variable)
{
	static char *held[CONFIG_VARIABLES];
	size_t len = strnlen((const char *)in->data, in->size);
	CLEANUP_FREE char *value = fuzz_string(in->data, len);

	fuzz_setenv(&held[variable], config_variable_name(variable), in->size ? value : NULL);
	len += len < in->size;
	in->data += len;
	in->size -= len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data ? data : (const uint8_t *)"", size };
	bool refused = false;

	for (int i = 0; i < CONFIG_VARIABLES; i++)
		set_variable(&in, (enum config_variable)i);
	config_load(&config);

	for (int i = 0; i < CONFIG_VARIABLES; i++) {
		const struct config_mistake *m = &config.mistakes[i];

		CHECK(strnlen(m->text, sizeof(m->text)) < sizeof(m->text));
		refused = refused || (m->what && (i == CONFIG_LABEL || i == CONFIG_RULES ||
						  i == CONFIG_BPFFS || i == CONFIG_SOCKET));
	}
	CHECK(config.refused == refused);
	CHECK(!config.label || isomer_label_check(config.label) == 0);
	CHECK(config.bpffs[0] == '/' && strlen(config.bpffs) < CONFIG_BPFFS_SIZE);
	CHECK(config.rules.n <= ISOMER_RULES_MAX);
	CHECK(config.active || (!config.label && config.rules.n == 0));
	CHECK(config.on_error <= CONFIG_FAIL && config.log <= REPORT_DEBUG);
	return 0;
}
