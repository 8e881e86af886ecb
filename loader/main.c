/* SPDX-License-Identifier: BSD-3-Clause */
/* isomer-loader: finds the command, parses options, enters the namespace, drops capabilities. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/caps.h"
#include "loader/command.h"
#include "loader/lock.h"
#include "loader/log.h"
#include "loader/operand.h"
#include "state/state.h"

static const struct command *const commands[] = {
	&cmd_load,       &cmd_unload, &cmd_upgrade, &cmd_bind,    &cmd_unbind,   &cmd_load_bindings,
	&cmd_bindings,   &cmd_status, &cmd_explain, &cmd_metrics, &cmd_register, &cmd_register_pid,
	&cmd_unregister, &cmd_grant,  &cmd_revoke,  &cmd_attach,  &cmd_detach,   &cmd_registrar,
	&cmd_run,        &cmd_doctor, &cmd_top,     &cmd_version,
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

#define STDOUT_BUFFER 65536

enum {
	OPTION_NETNS,
	OPTION_BPFFS,
	OPTION_JSON,
	OPTION_WAIT,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_GLOBALS, /* those of the command follow */
	OPTIONS_MAX = OPTION_GLOBALS + 8,
};

/* What getopt_long() needs, and where its results go. */
struct options {
	struct option list[OPTIONS_MAX + 1];
	char letters[OPTIONS_MAX]; /* 0 where there is none */
	const char *values[OPTIONS_MAX];
	int n;
};

static void options_add(struct options *o, const char *name, int has_arg, char letter)
{
	o->list[o->n] = (struct option){ name, has_arg, NULL, 0 };
	o->letters[o->n] = letter;
	o->values[o->n] = NULL;
	o->n++;
}

static void options_init(struct options *o)
{
	memset(o, 0, sizeof(*o));
	options_add(o, "netns", required_argument, 0);
	options_add(o, "bpffs", required_argument, 0);
	options_add(o, "json", no_argument, 0);
	options_add(o, "wait", required_argument, 0);
	options_add(o, "help", no_argument, 'h');
	options_add(o, "version", no_argument, 0);
}

static void options_add_command(struct options *o, const struct command *cmd)
{
	for (const struct command_option *c = cmd->options; c && c->name; c++)
		options_add(o, c->name, c->has_value ? required_argument : no_argument, c->letter);
}

static const struct option *options_find(const struct options *o, const char *name, size_t len)
{
	for (int i = 0; i < o->n; i++)
		if ((strlen(o->list[i].name) == len && !strncmp(o->list[i].name, name, len)) ||
		    (len == 1 && o->letters[i] == name[0]))
			return &o->list[i];
	return NULL;
}

/* The reference writes long options with one dash; getopt_long() would read them as letters.
 * @value: "=VALUE" or "". */
static char *with_two_dashes(char *arg, const char *name, const char *value)
{
	char *rewritten;

	if (asprintf(&rewritten, "--%s%s", name, value) < 0)
		return arg;
	return rewritten; /* lives as long as argv */
}

/* Makes getopt_long() see what is meant, and nothing that it would guess at: it takes beginnings
 * of names, and does not say which argument it failed on. Up to the first operand, or (@all) to the
 * end. Returns 0 or EXIT_USAGE. */
static int options_normalise(const struct options *o, int argc, char **argv, bool all)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		const char *name = argv[i] + strspn(argv[i], "-");
		size_t dashes = (size_t)(name - argv[i]), len = strcspn(name, "=");
		const struct option *option;

		if (dashes == 0 || !*name) {
			if (all)
				continue;
			return 0;
		}
		option = dashes > 2 || (dashes == 2 && len < 2) ? NULL : options_find(o, name, len);
		if (!option)
			return log_usage("unknown option '%s'; see 'isomer-loader --help'",
					 argv[i]);
		if (option->has_arg == no_argument && name[len])
			return log_usage("option '%.*s' takes no value", (int)(dashes + len),
					 argv[i]);
		if (option->has_arg == required_argument && !name[len] && i + 1 == argc)
			return log_usage("option '%s' needs a value", argv[i]);
		if (dashes == 1)
			argv[i] = with_two_dashes(argv[i], option->name, name + len);
		i += option->has_arg == required_argument && !name[len];
	}
	return 0;
}

/* Parses options up to the first operand (@all false) or all of them. Returns 0 or EXIT_USAGE. */
static int options_parse(struct options *o, int argc, char **argv, bool all)
{
	int c, index = 0, status;

	status = options_normalise(o, argc, argv, all);
	if (status)
		return status;
	optind = 0; /* start anew */
	while ((c = getopt_long(argc, argv, all ? "" : "+", o->list, &index)) != -1) {
		if (c == 0)
			o->values[index] = optarg ? optarg : "";
		else
			return EXIT_USAGE; /* getopt_long() has said why */
	}
	return 0;
}

static void print_help(void)
{
	printf("Usage: isomer-loader [--netns PATH] [--bpffs PATH] COMMAND ...\n\n"
	       "Sends traffic to prefixes and ports to labels, and registers sockets under labels.\n\n"
	       "Commands:\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		printf("  %-14s %s\n", commands[i]->name, commands[i]->summary);
	printf("\nOptions:\n"
	       "  --netns PATH   network namespace to work on (default " NETNS_SELF ")\n"
	       "  --bpffs PATH   BPF filesystem that holds the state (default " ISOMER_BPFFS_DEFAULT
	       ")\n"
	       "  --wait SECONDS how long to wait for another isomer-loader that changes something\n"
	       "                 (default 10)\n"
	       "  --json         results, and errors, as one JSON document on stdout\n"
	       "  --help         this text, or with a command, what it does\n"
	       "  --version      print the version\n\n"
	       "Exit status: 0 done, 1 failed, 2 wrong usage.\n");
}

static void print_command_help(const struct command *cmd)
{
	const char *options = cmd->options ? " [OPTION...]" : "";

	printf("Usage: isomer-loader %s%s%s%s%s\n\n%s%s.\n\n%s", cmd->name,
	       cmd->becomes_other ? options : "", *cmd->operands ? " " : "", cmd->operands,
	       cmd->becomes_other ? "" : options, "Does: ", cmd->summary, cmd->help);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static int find_namespace(const struct command *cmd, const char *path, struct netns *ret)
{
	int r = cmd->stays_outside ? netns_look(path, ret) : netns_enter(path, ret);

	if (r == -EINVAL)
		return log_failure(r, "'%s' is not a network namespace", path);
	if (r == -EPERM || r == -EACCES)
		return log_failure(
			r, "not allowed to enter the network namespace '%s': run as root", path);
	if (r < 0)
		return log_failure(r, "cannot enter the network namespace '%s': %m", path);
	return 0;
}

/* What the global options say, to @ctx and to the lock. */
static int apply_globals(const struct command *cmd, const struct options *o, struct context *ctx)
{
	const char *netns = o->values[OPTION_NETNS] ? o->values[OPTION_NETNS] : NETNS_SELF;
	uint64_t seconds = LOCK_WAIT_SECONDS;
	int status = 0;

	ctx->bpffs = o->values[OPTION_BPFFS] ? o->values[OPTION_BPFFS] : ISOMER_BPFFS_DEFAULT;
	ctx->json = o->values[OPTION_JSON] != NULL;
	ctx->caps = cmd->caps;
	if (ctx->json && !cmd->json)
		return log_usage("%s has no --json", cmd->name);
	if (o->values[OPTION_WAIT])
		status = operand_number("--wait", o->values[OPTION_WAIT], 0, LOCK_WAIT_MAX,
					&seconds);
	lock_wait_seconds = (unsigned)seconds;
	return status ? status : find_namespace(cmd, netns, &ctx->netns);
}

static int run_command(const struct command *cmd, const struct options *o, char **args, int n)
{
	struct context ctx;
	int r, status;

	if (n < cmd->min_args || n > cmd->max_args)
		return log_usage(
			"%s takes %s, but %d operand%s given; see 'isomer-loader %s --help'",
			cmd->name, *cmd->operands ? cmd->operands : "no operands", n,
			n == 1 ? " was" : "s were", cmd->name);
	status = apply_globals(cmd, o, &ctx);
	if (status)
		return status;
	r = cmd->becomes_other ? 0 : caps_limit(cmd->caps);
	if (r < 0)
		return log_failure(r, "cannot drop capabilities: %m");
	return cmd->run(&ctx, args, n, o->values + OPTION_GLOBALS);
}

/* Before all else: what is wrong with other options is to be told in JSON, too. */
static bool wants_json(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--json") || !strcmp(argv[i], "-json"))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	const struct command *cmd;
	struct options o;
	int status;

	setvbuf(stdout, NULL, _IOFBF, STDOUT_BUFFER); /* lists are long */
	log_setup_libbpf();
	if (wants_json(argc, argv))
		log_use_json();
	options_init(&o);
	status = options_parse(&o, argc, argv, false);
	if (status)
		return status;
	if (o.values[OPTION_VERSION])
		return run_command(&cmd_version, &o, NULL, 0);
	if (optind == argc && o.values[OPTION_HELP]) {
		print_help();
		return command_finish();
	}
	if (optind == argc)
		return log_usage("which command? See 'isomer-loader --help'");

	cmd = find_command(argv[optind]);
	if (!cmd)
		return log_usage("unknown command '%s'; see 'isomer-loader --help'", argv[optind]);
	argc -= optind;
	argv += optind;
	options_add_command(&o, cmd);
	status = options_parse(&o, argc, argv, !cmd->becomes_other);
	if (status)
		return status;
	if (o.values[OPTION_HELP]) {
		print_command_help(cmd);
		return command_finish();
	}
	return run_command(cmd, &o, argv + optind, argc - optind);
}
