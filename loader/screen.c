/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/screen.h"

/* Functions instead of macros, which would use variables of the library. */
#define NCURSES_NOMACROS
#include <curses.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "loader/late_library.h"

#define LIBRARY "libncursesw.so.6"

static struct {
	__typeof__(newterm) *newterm;
	__typeof__(newwin) *newwin;
	__typeof__(cbreak) *cbreak;
	__typeof__(noecho) *noecho;
	__typeof__(curs_set) *curs_set;
	__typeof__(keypad) *keypad;
	__typeof__(nodelay) *nodelay;
	__typeof__(werase) *werase;
	__typeof__(wmove) *wmove;
	__typeof__(waddnstr) *waddnstr;
	__typeof__(wattrset) *wattrset;
	__typeof__(getmaxx) *getmaxx;
	__typeof__(getmaxy) *getmaxy;
	__typeof__(wrefresh) *wrefresh;
	__typeof__(wgetch) *wgetch;
	__typeof__(endwin) *endwin;
} curses;

static WINDOW *window; /* NULL: the terminal is not ours */

static int open_library(void)
{
	const struct late_function functions[] = {
		{ "newterm", &curses.newterm },   { "newwin", &curses.newwin },
		{ "cbreak", &curses.cbreak },     { "noecho", &curses.noecho },
		{ "curs_set", &curses.curs_set }, { "keypad", &curses.keypad },
		{ "nodelay", &curses.nodelay },   { "werase", &curses.werase },
		{ "wmove", &curses.wmove },       { "waddnstr", &curses.waddnstr },
		{ "wattrset", &curses.wattrset }, { "getmaxx", &curses.getmaxx },
		{ "getmaxy", &curses.getmaxy },   { "wrefresh", &curses.wrefresh },
		{ "wgetch", &curses.wgetch },     { "endwin", &curses.endwin },
	};

	return late_library_open(LIBRARY, functions, sizeof(functions) / sizeof(functions[0]));
}

int screen_open(void)
{
	int r = open_library();

	if (r < 0)
		return r;
	if (!curses.newterm(NULL, stdout, stdin))
		return -ENOTTY;
	window = curses.newwin(0, 0, 0, 0);
	if (!window) {
		curses.endwin();
		return -ENOMEM;
	}
	curses.cbreak();
	curses.noecho();
	curses.curs_set(0);
	curses.keypad(window, true);
	curses.nodelay(window, true);
	return 0;
}

void screen_show(const char *text)
{
	int width = curses.getmaxx(window), height = curses.getmaxy(window);

	curses.werase(window);
	for (int row = 0; row < height && *text; row++) {
		int len = (int)strcspn(text, "\n");

		curses.wattrset(window, row == 0 ? A_REVERSE : A_NORMAL);
		curses.wmove(window, row, 0);
		curses.waddnstr(window, text, len < width ? len : width);
		text += len + (text[len] == '\n');
	}
	curses.wrefresh(window);
}

int screen_key(void)
{
	int key = curses.wgetch(window);

	return key == ERR ? 0 : key;
}

void screen_close(void)
{
	if (window)
		curses.endwin();
	window = NULL;
}
