/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text for people and their terminals: escapes, widths, sizes, times, quoting for a shell.
 *
 * Pure functions without failure; strings that are returned are the caller's. What a guest, QEMU
 * or the daemon said goes through text_plain() before it reaches a terminal. Widths count columns
 * as the locale's wcwidth() does.
 */
#ifndef DROVER_CLI_TEXT_H
#define DROVER_CLI_TEXT_H

#include "base/cleanup.h"

#include <stdio.h>

/* A copy of TEXT in which all that a terminal may act on is spelt out: control bytes and bytes that
 * are not UTF-8 as \xNN, the 8-bit controls and the marks that turn the direction of writing as
 * \uNNNN. The (ASCII) characters in KEEP stay as they are. */
char *text_plain(const char *text, const char *keep);
/* Text of several lines to F: CR LF becomes LF, each line starts with INDENT spaces, a newline ends
 * the last one. ESCAPE: through text_plain(), tabs stay. */
void text_block(FILE *f, const char *text, unsigned indent, bool escape);
/* JSON text, in which characters can only stand for themselves within strings: those that
 * text_plain() would spell out become \uNNNN, so that it is the same JSON. */
char *text_plain_json(const char *json);

/* Columns of one line. */
size_t text_width(const char *text);
/* TEXT, or as much of it as fits in WIDTH columns together with MARK behind it. */
char *text_cut(const char *text, size_t width, const char *mark);
/* On a screen narrower than that, text is left to the terminal to wrap. */
enum { TEXT_NARROW = 40 };
/* Words of TEXT to F in lines of at most WIDTH columns; the cursor stands at column AT already,
 * further lines start with INDENT spaces. A newline in TEXT starts a new line, a word that no line holds
 * is broken. Ends with a newline. */
void text_wrap(FILE *f, const char *text, unsigned at, unsigned indent, unsigned width);

/* "256M": exact where four digits suffice for that, so that it may be given back; else "1.4G". */
char *text_size(uint64_t bytes);
/* "42s", "12m", "2h13m", "3d4h". */
char *text_duration(double seconds);
/* Local time, "2026-11-21 21:13:37", with milliseconds if asked. "-" for what is no time. */
char *text_time(double when, bool millis);
/* One word for a shell, quoted where it must be. Holds no control bytes, whatever TEXT holds. */
char *text_quote(const char *text);

#endif
