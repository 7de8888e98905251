/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table for people: cells in columns, cut to the width of a terminal; where that is not enough, columns
 * are left out, the last ones first, never the first one.
 *
 * Cells are copied and escaped (text_plain) when they are put in, so anything may go into one. An
 * empty cell prints as "-", so that a line always splits into the same number of words unless a
 * cell holds blanks itself. A note is a line of its own below a row. Nothing fails.
 */
#ifndef DROVER_CLI_TABLE_H
#define DROVER_CLI_TABLE_H

#include "base/cleanup.h"

#include <stdio.h>

enum style { STYLE_NONE, STYLE_TITLE, STYLE_GOOD, STYLE_WARN, STYLE_BAD, STYLE_DIM };

/* What stands behind a FILE. */
struct screen {
	bool tty;
	bool dumb;      /* by $TERM: nothing can be drawn over, here or on stderr */
	bool colour;    /* only if tty */
	bool utf8;      /* characters beyond ASCII may be added */
	unsigned width; /* columns; 0: do not cut */
};

struct column {
	const char *title;
	bool right;    /* aligned */
	bool optional; /* left out where room is limited and no row has it */
	bool keep;     /* left out for want of room only when those without this are */
	unsigned min;  /* cut below this many columns only when all are; 0: never cut */
};

struct table;

/* COLUMNS must outlive the table. */
struct table *table_new(const struct column *columns, size_t n);
struct table *table_free(struct table *t);
DEFINE_CLEANUP(struct table *, table_free, table_freep)

/* Starts a row; its cells follow from the left, those that are not given are empty. */
void table_row(struct table *t);
/* NULL is an empty cell. */
void table_cell(struct table *t, enum style style, const char *text);
void table_cellf(struct table *t, enum style style, const char *fmt, ...) _printf_(3, 4);
/* A line below the present row. */
void table_note(struct table *t, const char *text);
size_t table_rows(const struct table *t);
void table_print(const struct table *t, FILE *f, unsigned indent, const struct screen *screen);

enum { TABLE_FLOOR = 4 };

/* Makes WIDTHS, two blanks between them, fit in WIDTH: of those that are wider than their column's min
 * the widest shrinks first; where that is not enough, all that may be cut shrink in proportion to
 * their mins, down to TABLE_FLOOR. */
void table_fit(size_t *widths, const struct column *columns, size_t n, size_t width);

/* Turns a style on and off again on a screen with colours; else "". */
const char *style_on(const struct screen *screen, enum style style);
const char *style_off(const struct screen *screen, enum style style);

#endif
