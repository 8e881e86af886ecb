/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "preload/config.h"
#include "preload/inherited.h"

#define LEN(array) (sizeof(array) / sizeof(*(array)))

static struct config config; /* too big for a stack */

static int without_variables(void **state)
{
	(void)state;
	for (int i = 0; i < CONFIG_VARIABLES; i++)
		unsetenv(config_variable_name((enum config_variable)i));
	memset(&config, 0xa5, sizeof(config));
	return 0;
}

static void load_with(const char *name, const char *value)
{
	assert_int_equal(setenv(name, value, 1), 0);
	config_load(&config);
}

static unsigned mistakes(void)
{
	unsigned n = 0;

	for (int i = 0; i < CONFIG_VARIABLES; i++)
		n += config.mistakes[i].what != NULL;
	return n;
}

static void without_label_and_rules_there_is_nothing_to_do(void **state)
{
	(void)state;
	config_load(&config);
	assert_false(config.active);
	assert_true(config.inherit);
	assert_int_equal(mistakes(), 0);

	load_with("ISOMER_LABEL", "");
	assert_false(config.active);
	load_with("ISOMER_RULES", ";");
	assert_false(config.active);
	load_with("ISOMER_LOG", "loud");
	assert_false(config.active);
	assert_false(config.refused);
}

static void the_defaults_are_those_of_the_manual(void **state)
{
	(void)state;
	load_with("ISOMER_LABEL", "web");
	assert_true(config.active);
	assert_false(config.refused);
	assert_string_equal(config.label, "web");
	assert_int_equal(config.rules.n, 0);
	assert_int_equal(config.on_error, CONFIG_WARN);
	assert_int_equal(config.log, REPORT_WARN);
	assert_string_equal(config.bpffs, "/sys/fs/bpf");
	assert_string_equal(config.registrar, "/run/isomer/registrar.sock");
	assert_int_equal(config.via, CONFIG_AUTO);
	assert_true(config.inherit);
	assert_int_equal(mistakes(), 0);
}

static void every_word_is_known(void **state)
{
	static const char *const on_error[] = { "warn", "ignore", "fail" };
	static const char *const log[] = { "error", "warn", "info", "debug" };
	static const char *const via[] = { "auto", "bpf", "registrar" };

	(void)state;
	setenv("ISOMER_LABEL", "web", 1);
	for (size_t i = 0; i < LEN(on_error); i++) {
		load_with("ISOMER_ON_ERROR", on_error[i]);
		assert_int_equal(config.on_error, i);
	}
	for (size_t i = 0; i < LEN(log); i++) {
		load_with("ISOMER_LOG", log[i]);
		assert_int_equal(config.log, i);
	}
	for (size_t i = 0; i < LEN(via); i++) {
		load_with("ISOMER_VIA", via[i]);
		assert_int_equal(config.via, i);
	}
	load_with("ISOMER_INHERIT", "0");
	assert_false(config.inherit);
	load_with("ISOMER_INHERIT", "1");
	assert_true(config.inherit);
	load_with("ISOMER_BPFFS", "/run/isomer");
	assert_string_equal(config.bpffs, "/run/isomer");
	assert_int_equal(mistakes(), 0);
}

static void the_value_is_a_copy(void **state)
{
	(void)state;
	setenv("ISOMER_BPFFS", "/run/isomer", 1);
	setenv("ISOMER_RULES", "a=tcp:*:1", 1);
	load_with("ISOMER_LABEL", "web");
	memset(getenv("ISOMER_LABEL"), 'x', 3);
	memset(getenv("ISOMER_RULES"), 'x', 9);
	memset(getenv("ISOMER_BPFFS"), 'x', 11);
	assert_string_equal(config.label, "web");
	assert_string_equal(config.rules.rule[0].label, "a");
	assert_string_equal(config.bpffs, "/run/isomer");
}

static void rules_alone_are_enough(void **state)
{
	(void)state;
	load_with("ISOMER_RULES", "a=tcp:*:1;-=udp:*:*");
	assert_true(config.active);
	assert_false(config.refused);
	assert_null(config.label);
	assert_int_equal(config.rules.n, 2);
}

static void a_mistake_in_what_decides_refuses_everything(void **state)
{
	static const struct {
		enum config_variable variable;
		const char *value, *text;
		unsigned rule;
	} cases[] = {
		{ CONFIG_RULES, "a=tcp:*:1;b=tcp:*:x", "b=tcp:*:x", 2 },
		{ CONFIG_LABEL, "a/b", "a/b", 0 },
		{ CONFIG_LABEL, "-", "-", 0 },
		{ CONFIG_LABEL, "0123456789012345678901234567890123456789 too long",
		  "0123456789012345678901234567890123456789 too...", 0 },
		{ CONFIG_BPFFS, "sys/fs/bpf", "sys/fs/bpf", 0 },
		{ CONFIG_SOCKET, "registrar.sock", "registrar.sock", 0 },
	};

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		without_variables(NULL);
		setenv("ISOMER_LABEL", "web", 1);
		load_with(config_variable_name(cases[i].variable), cases[i].value);
		assert_true(config.active);
		assert_true(config.refused);
		assert_int_equal(mistakes(), 1);
		assert_string_equal(config.mistakes[cases[i].variable].text, cases[i].text);
		assert_int_equal(config.mistakes[cases[i].variable].rule, cases[i].rule);
	}
}

static void refused_rules_are_none_at_all(void **state)
{
	(void)state;
	load_with("ISOMER_RULES", "a=tcp:*:1;b");
	assert_true(config.active);
	assert_true(config.refused);
	assert_int_equal(config.rules.n, 0);
}

/* @size: that of the longest path, with its end. */
static void check_length(const char *variable, size_t size, const char **ret)
{
	char path[CONFIG_BPFFS_SIZE + 1];

	memset(path, '/', sizeof(path));
	path[size] = '\0';
	load_with(variable, path);
	assert_true(config.refused);
	path[size - 1] = '\0';
	load_with(variable, path);
	assert_false(config.refused);
	assert_string_equal(*ret, path);
}

static void a_path_too_long_is_refused(void **state)
{
	(void)state;
	setenv("ISOMER_LABEL", "web", 1);
	check_length("ISOMER_BPFFS", CONFIG_BPFFS_SIZE, &config.bpffs);
	check_length("ISOMER_REGISTRAR", CONFIG_REGISTRAR_SIZE, &config.registrar);
}

static void a_mistake_elsewhere_leaves_the_default(void **state)
{
	(void)state;
	setenv("ISOMER_LABEL", "web", 1);
	setenv("ISOMER_ON_ERROR", "Fail", 1);
	setenv("ISOMER_LOG", "2", 1);
	setenv("ISOMER_VIA", "BPF", 1);
	load_with("ISOMER_INHERIT", "no");
	assert_false(config.refused);
	assert_string_equal(config.label, "web");
	assert_int_equal(config.on_error, CONFIG_WARN);
	assert_int_equal(config.log, REPORT_WARN);
	assert_true(config.inherit);
	assert_int_equal(config.via, CONFIG_AUTO);
	assert_int_equal(mistakes(), 4);
	assert_string_equal(config.mistakes[CONFIG_VIA].text, "BPF");
	assert_string_equal(config.mistakes[CONFIG_ON_ERROR].text, "Fail");
	assert_string_equal(config.mistakes[CONFIG_LOG].text, "2");
	assert_string_equal(config.mistakes[CONFIG_INHERIT].text, "no");
}

static void nginx_variable_is_read_whole_or_not_at_all(void **state)
{
	static const char *const wrong[] = { "",
					     ";",
					     "3",
					     "3;4",
					     "3;;",
					     "x;",
					     "-1;",
					     "3 ;",
					     "03;",
					     "3;x;",
					     "3,4;",
					     "2147483648;",
					     "/usr/sbin/nginx" };
	int fds[INHERITED_MAX];
	char *many;

	(void)state;
	assert_int_equal(inherited_parse_nginx("3;4;", fds), 2);
	assert_int_equal(fds[0], 3);
	assert_int_equal(fds[1], 4);
	assert_int_equal(inherited_parse_nginx("0:2147483647;", fds), 2);
	assert_int_equal(fds[0], 0);
	assert_int_equal(fds[1], 2147483647);
	for (size_t i = 0; i < LEN(wrong); i++)
		assert_int_equal(inherited_parse_nginx(wrong[i], fds), 0);

	many = calloc(INHERITED_MAX + 2, 2);
	assert_non_null(many);
	for (size_t i = 0; i < INHERITED_MAX; i++)
		memcpy(many + 2 * i, "7;", 2);
	assert_int_equal(inherited_parse_nginx(many, fds), INHERITED_MAX);
	memcpy(many + 2 * INHERITED_MAX, "7;", 2);
	assert_int_equal(inherited_parse_nginx(many, fds), 0);
	free(many);
}

#define test(fn) cmocka_unit_test_setup(fn, without_variables)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		test(without_label_and_rules_there_is_nothing_to_do),
		test(the_defaults_are_those_of_the_manual),
		test(every_word_is_known),
		test(the_value_is_a_copy),
		test(rules_alone_are_enough),
		test(a_mistake_in_what_decides_refuses_everything),
		test(refused_rules_are_none_at_all),
		test(a_path_too_long_is_refused),
		test(a_mistake_elsewhere_leaves_the_default),
		test(nginx_variable_is_read_whole_or_not_at_all),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
