/* SPDX-License-Identifier: BSD-3-Clause */
/* The terminal as a place for a text that changes. One at a time. */
#pragma once

/** Takes over the terminal of stdin and stdout. Returns 0, -ELIBACC when ncurses is not installed,
 * or -ENOTTY when this is no terminal that it knows. */
int screen_open(void);

/** Shows the text, as much of it as fits; its first line stands out. */
void screen_show(const char *text);

/** A key that was pressed, or 0. Does not wait. */
int screen_key(void);

/** Gives the terminal back as it was. Does nothing when it was not taken. */
void screen_close(void);
