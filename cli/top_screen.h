/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The terminal of `drover top`, by ncurses. There is one in a process.
 *
 * Only cells that are others than before are written to it. It is put back by top_screen_close(), and by what kills the
 * process for a fault of its own; signals from outside are the caller's to take note of.
 */
#ifndef DROVER_CLI_TOP_SCREEN_H
#define DROVER_CLI_TOP_SCREEN_H

#include "cli/top_view.h"

/* Beside these, what was typed. */
enum { TOP_KEY_NONE = -1, TOP_KEY_UP = 0x110000, TOP_KEY_DOWN, TOP_KEY_OTHER };

/* Unsupported where stdin and stdout are no terminal, or one that cannot place its cursor; it is as it was then. */
bool top_screen_open(bool colour, struct err **e);
/* May be called again, and when it was not opened. */
void top_screen_close(void);
/* Gives the terminal back for a while; the next drawing takes it again. */
void top_screen_leave(void);
/* Takes over the size that the terminal has by now. */
void top_screen_resize(void);
void top_screen_size(size_t *height, size_t *width);
/* As many lines as it is high. */
void top_screen_draw(const struct top_line *page);
/* The next key that was typed already. */
int top_screen_key(void);

#endif
