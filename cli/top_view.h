/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What `drover top` shows, without a terminal: the lines of a screen of any size, from what it knows.
 *
 * Columns go, from the right, where they do not fit; name and state are cut. The selected row is always among those shown.
 * All text is escaped, and no line is wider than the screen.
 */
#ifndef DROVER_CLI_TOP_VIEW_H
#define DROVER_CLI_TOP_VIEW_H

#include "cli/table.h"
#include "cli/top_model.h"

struct top_line {
	char *text; /* NULL: empty */
	enum style style;
	bool selected;
};

struct top_view {
	const char *host;    /* NULL: not known */
	const char *trouble; /* why there is no daemon; NULL: there is one */
	const char *message; /* in place of the keys; NULL: none */
	bool help;           /* the keys, in place of instances and events */
	bool utf8;
};

/* HEIGHT lines for WIDTH columns; the caller's, by top_lines_free(). */
struct top_line *top_view(const struct top_model *m, const struct top_view *view, size_t height, size_t width);
void top_lines_free(struct top_line *lines, size_t n);

#endif
