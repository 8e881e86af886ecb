/* SPDX-License-Identifier: BSD-3-Clause */
#include "preload/report.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME_SIZE      32
#define FIRST_TIME_MAX 64

/* Written once by report_start(). */
static struct {
	enum report_level level;
	char name[NAME_SIZE];
	bool open; /* was stderr open at start, and as what? */
	dev_t dev;
	ino_t ino;
} self = { .level = REPORT_WARN };

void report_start(enum report_level level)
{
	/* A copy: programs that set their title write over argv, which this points into. */
	const char *name = program_invocation_short_name;
	struct stat sb;

	self.level = level;
	memcpy(self.name, name, strnlen(name, sizeof(self.name) - 1));
	self.open = fstat(STDERR_FILENO, &sb) == 0;
	if (self.open) {
		self.dev = sb.st_dev;
		self.ino = sb.st_ino;
	}
}

bool report_wanted(enum report_level level)
{
	return level <= self.level;
}

static void add_char(struct report *line, char c)
{
	static const char cut[] = "...";

	if (line->len < sizeof(line->text) - sizeof(cut)) {
		line->text[line->len++] = c >= ' ' && c <= '~' ? c : '?';
	} else {
		memcpy(line->text + sizeof(line->text) - sizeof(cut), cut, sizeof(cut) - 1);
		line->len = sizeof(line->text) - 1;
	}
}

static void add_string(struct report *line, const char *s, size_t max)
{
	for (; max && *s; s++, max--)
		add_char(line, *s);
}

static void add_number(struct report *line, unsigned long long value)
{
	char digits[24];
	size_t n = 0;

	do
		digits[n++] = (char)('0' + value % 10);
	while (value /= 10);
	while (n)
		add_char(line, digits[--n]);
}

static void add_signed(struct report *line, int value)
{
	if (value < 0)
		add_char(line, '-');
	add_number(line, value < 0 ? -(unsigned long long)value : (unsigned long long)value);
}

/* Writes one conversion; @f is behind the '%'. Returns what is behind the conversion. */
static const char *add_conversion(struct report *line, const char *f, va_list *args)
{
	if (!strncmp(f, ".*s", 3)) {
		int max = va_arg(*args, int);

		add_string(line, va_arg(*args, const char *), max > 0 ? (size_t)max : 0);
		return f + 3;
	}
	if (!strncmp(f, "llu", 3)) {
		add_number(line, va_arg(*args, unsigned long long));
		return f + 3;
	}
	if (!strncmp(f, "lu", 2)) {
		add_number(line, va_arg(*args, unsigned long));
		return f + 2;
	}

	switch (*f) {
	case 's':
		add_string(line, va_arg(*args, const char *), SIZE_MAX);
		break;
	case 'c':
		add_char(line, (char)va_arg(*args, int));
		break;
	case 'd':
		add_signed(line, va_arg(*args, int));
		break;
	case 'u':
		add_number(line, va_arg(*args, unsigned));
		break;
	default:
		add_char(line, '%');
		break;
	}
	return f + 1;
}

void report_add(struct report *line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	while (*format) {
		if (*format != '%')
			add_char(line, *format++);
		else
			format = add_conversion(line, format + 1, &args);
	}
	va_end(args);
}

void report_begin(struct report *line)
{
	line->len = 0;
	report_add(line, "isomer: %s[%d]: ", self.name, getpid());
}

/* Descriptor 2 is not stderr for ever. Programs that close everything at start get it for a
 * listener, a data file, a device or a pipe to themselves, where a line of text would do harm. It
 * is taken for stderr when it is what it was at start, or a terminal. */
static bool is_stderr(void)
{
	struct stat sb;

	if (!self.open || fstat(STDERR_FILENO, &sb) < 0)
		return false;
	return (sb.st_dev == self.dev && sb.st_ino == self.ino) ||
	       (S_ISCHR(sb.st_mode) && isatty(STDERR_FILENO));
}

/* A server must not stop because nobody reads its stderr. */
static bool has_room(void)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

/* Nor die or stop for a line that it did not write itself: of SIGPIPE, of SIGXFSZ (a log at its
 * RLIMIT_FSIZE), of SIGTTOU (a terminal with `stty tostop`; not sent while it is blocked). */
static void write_without_signals(const char *text, size_t len)
{
	static const struct timespec now = { 0 };
	sigset_t set, before, pending;
	int signal = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	sigaddset(&set, SIGXFSZ);
	sigaddset(&set, SIGTTOU);
	if (sigpending(&pending) < 0 || pthread_sigmask(SIG_BLOCK, &set, &before) != 0)
		return;

	if (write(STDERR_FILENO, text, len) < 0)
		signal = errno == EPIPE ? SIGPIPE : errno == EFBIG ? SIGXFSZ : 0;
	if (signal && !sigismember(&pending, signal)) {
		sigemptyset(&set);
		sigaddset(&set, signal);
		sigtimedwait(&set, NULL, &now); /* takes ours away */
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void report_end(struct report *line)
{
	int saved = errno;

	line->text[line->len++] = '\n'; /* add_char() leaves room */
	if (is_stderr() && has_room())
		write_without_signals(line->text, line->len);
	errno = saved;
}

bool report_first_time(unsigned reason, const char *label)
{
	static _Atomic uint64_t told[FIRST_TIME_MAX];
	uint64_t hash = (0xcbf29ce484222325 ^ reason) * 0x100000001b3; /* FNV-1a */

	for (; *label; label++)
		hash = (hash ^ (unsigned char)*label) * 0x100000001b3;
	hash = hash * 0x100000001b3 | 1; /* 0 is a free place */

	for (size_t i = 0; i < FIRST_TIME_MAX; i++) {
		uint64_t seen = 0;

		if (atomic_compare_exchange_strong(&told[i], &seen, hash))
			return true;
		if (seen == hash)
			return false;
	}
	return false;
}
