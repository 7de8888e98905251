/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A terminal for a program that draws on it: a pty, and what xterm would show of what is written there.
 *
 * It knows what terminfo's "xterm" makes ncurses write; anything else fails the test. What is drawn can be waited for,
 * with the deadline of rig.h.
 */
#ifndef DROVER_TESTS_TTY_H
#define DROVER_TESTS_TTY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <termios.h>

struct tty;

/* Runs ARGV (ends with NULL) on a terminal of this size, with TERM. */
struct tty *tty_run(const char *term, int rows, int columns, const char *const *argv);
/* Kills what still runs. */
void tty_free(struct tty *t);
pid_t tty_pid(const struct tty *t);
void tty_type(struct tty *t, const char *keys);
/* Terminals differ in what they keep of what was there: this one is full of "#" then. */
void tty_resize(struct tty *t, int rows, int columns);
/* Whether it is in canonical mode and echoes. */
bool tty_is_cooked(const struct tty *t);

/* Waits until FN says that it is so; it is called anew whenever something was drawn. WHAT: for people. */
void tty_await(struct tty *t, bool (*fn)(struct tty *t, const void *data), const void *data, const char *what);
/* Waits until TEXT is to be seen, in one line; until it is not. */
void tty_await_text(struct tty *t, const char *text);
void tty_await_no_text(struct tty *t, const char *text);
/* Reads what has been written; how many bytes that were. Does not wait. */
size_t tty_read(struct tty *t);
/* Waits for the end of the program; its wait status. */
int tty_end(struct tty *t);

/* A line, without the blanks at its end; the caller's. */
char *tty_line(const struct tty *t, int row);
/* All lines, each with a newline; the caller's. */
char *tty_text(const struct tty *t);
/* The row that has TEXT; -1: none. */
int tty_find(const struct tty *t, const char *text);
/* Whether the row is in reverse video; whether the cursor is to be seen; whether it is the program's screen, beside that
 * of the shell. */
bool tty_is_reverse(const struct tty *t, int row);
bool tty_shows_cursor(const struct tty *t);
bool tty_is_full_screen(const struct tty *t);

#endif
