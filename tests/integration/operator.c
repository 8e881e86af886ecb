/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "integration/operator.h"
#include "integration/server.h"
#include "state/cleanup.h"

#define ARGS_MAX 32

/* ---- running ---- */

int operator_file(const void *bytes, size_t len)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_return_code(fd, errno);
	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, (const char *)bytes + done, len - done);

		assert_return_code(n, errno);
		done += (size_t)n;
	}
	return fd;
}

struct command_result operator_load_bindings(const char *option, const void *bytes, size_t len)
{
	CLEANUP_FD int fd = operator_file(bytes, len);
	const char *argv[] = { loader_path(), "load-bindings", OPERATOR_FILE, option, NULL };

	return command_run(&(struct process_options){ .argv = argv, .pass_fd = fd });
}

/* Adds the arguments behind those that are there. */
static void add_arguments(const char *argv[ARGS_MAX], va_list ap)
{
	size_t n = 0;

	while (argv[n])
		n++;
	for (const char *arg = va_arg(ap, const char *); arg; arg = va_arg(ap, const char *)) {
		assert_in_range(n, 0, ARGS_MAX - 2);
		argv[n++] = arg;
	}
}

struct command_result operator_shell(int file, const char *script, ...)
{
	const char *argv[ARGS_MAX] = { "/bin/sh", "-c", script, loader_path() };
	va_list ap;

	va_start(ap, script);
	add_arguments(argv, ap);
	va_end(ap);
	return command_run(&(struct process_options){ .argv = argv, .pass_fd = file });
}

static const char terminal_script[] =
	"import fcntl, os, pty, signal, struct, sys, termios\n"
	"term, text, action = sys.argv[1:4]\n"
	"pid, fd = pty.fork()\n"
	"if pid == 0:\n"
	"    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 120, 0, 0))\n"
	"    os.environ['TERM'] = term\n"
	"    os.execvp(sys.argv[4], sys.argv[4:])\n"
	"seen = b''\n"
	"try:\n"
	"    while chunk := os.read(fd, 4096):\n"
	"        seen += chunk\n"
	"        if text and text.encode() in seen:\n"
	"            text = ''\n"
	"            if action == 'hang up':\n"
	"                os.close(fd)\n"
	"            elif action.startswith('SIG'):\n"
	"                os.kill(pid, getattr(signal, action))\n"
	"            else:\n"
	"                os.write(fd, action.encode())\n"
	"except OSError:\n" /* the program has ended */
	"    pass\n"
	"status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n"
	"print('not shown' if text else 'shown', 'ended with', status)\n"
	"print(seen.decode(errors='replace'))\n";

struct command_result operator_in_terminal(const char *term, const char *text, const char *action,
					   ...)
{
	const char *argv[ARGS_MAX] = { server_python(), "-c", terminal_script, term, text, action };
	va_list ap;

	va_start(ap, action);
	add_arguments(argv, ap);
	va_end(ap);
	return command_run(&(struct process_options){ .argv = argv });
}

/* ---- judging ---- */

static size_t count_lines(const char *text)
{
	size_t lines = 0;

	for (; *text; text++)
		lines += *text == '\n' || !text[1];
	return lines;
}

void operator_said(struct command_result *r, int status, const char *text)
{
	if (r->status != status)
		fail_msg("exit status %d, should be %d; stdout '%s', stderr '%s'", r->status,
			 status, r->out, r->err);
	if (!text && *r->err)
		fail_msg("should not say '%s'", r->err);
	if (text && !strstr(r->err, text))
		fail_msg("should say '%s', says '%s'", text, r->err);
	if (text && count_lines(r->err) != 1)
		fail_msg("should say one line, says '%s'", r->err);
	command_done(r);
}

void operator_printed(struct command_result *r, int status, const char *out, const char *text)
{
	assert_string_equal(r->out, out);
	operator_said(r, status, text);
}

/* ---- JSON ---- */

static const char python[] = "import json, sys\n"
			     "def paths(d, at, seen):\n"
			     "    if isinstance(d, dict):\n"
			     "        for k, v in d.items():\n"
			     "            seen[at + '.' + k if at else k] = True\n"
			     "            paths(v, at + '.' + k if at else k, seen)\n"
			     "    if isinstance(d, list):\n"
			     "        for v in d:\n"
			     "            paths(v, at + '[]', seen)\n"
			     "    return seen\n"
			     "def keys(d):\n"
			     "    return ' '.join(paths(d, '', {}))\n"
			     "def unique(pairs):\n"
			     "    assert len(dict(pairs)) == len(pairs), 'a key comes twice'\n"
			     "    return dict(pairs)\n"
			     "with open(sys.argv[1], encoding='utf-8') as f:\n"
			     "    d = json.load(f, object_pairs_hook=unique)\n"
			     "print(eval(sys.argv[2]), end='')\n";

char *operator_json(const char *document, const char *expression)
{
	CLEANUP_FD int fd = operator_file(document, strlen(document));
	const char *argv[] = { server_python(), "-c", python, OPERATOR_FILE, expression, NULL };
	struct command_result r =
		command_run(&(struct process_options){ .argv = argv, .pass_fd = fd });
	char *out = TAKE_PTR(r.out);

	if (r.status != 0)
		fail_msg("no JSON, or no %s in it:\n%s\n%s", expression, document, r.err);
	command_done(&r);
	return out;
}

void operator_json_is(const char *document, const char *expression, const char *expected)
{
	CLEANUP_FREE char *got = operator_json(document, expression);

	if (strcmp(got, expected) != 0)
		fail_msg("%s is '%s', should be '%s', in\n%s", expression, got, expected, document);
}

void operator_load_sample(void)
{
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "foo", "tcp", "127.0.0.1", "80", NULL);
	loader_ok("bind", "foo", "udp", "2001:db8::/32", "1000-2000", NULL);
	loader_ok("bind", "bar", "tcp", "127.0.0.2", "0", NULL);
	loader_ok("grant", "granted", "nobody", NULL);
}

void operator_load_kept(void)
{
	loader_ok(OPERATOR_LOAD, NULL);
	loader_ok("bind", "kept", "tcp", "127.9.0.0/16", "9", NULL);
}

struct command_result operator_loader(const char *const *args)
{
	const char *argv[OPERATOR_ARGS_MAX + 1] = { loader_path() };

	for (size_t i = 0; i < OPERATOR_ARGS_MAX && args[i]; i++)
		argv[i + 1] = args[i];
	return command_run(&(struct process_options){ .argv = argv });
}

bool operator_is_one_line(const char *text)
{
	const char *end = strchr(text, '\n');

	if (strncmp(text, "isomer-loader: ", 15) || !end || end[1])
		return false;
	for (; text < end; text++)
		if (iscntrl((unsigned char)*text))
			return false;
	return true;
}
